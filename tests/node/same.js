// What a program sees of its own functions, promises and lists: it says the same with the layer and without it, and ends the same.
//
//     node [--require …/layer/register.js] same.js [CASE]
//
// with `fake` in NODE_PATH. Without CASE it names them: with packages that programs use in PACKAGES, those that need some.
'use strict';

const { AsyncResource } = require('async_hooks');
const EventEmitter = require('events');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { Writable } = require('stream');
const { KafkaConsumer, KafkaJS, begun, ended, failed, give } = require('node-rdkafka');

/** Without the layer it is told nothing. */
const processing = process.execArgv.length > 0 ? require('../../resolver/librdkafka/npm').processing : (message, work) => work();

const [, , CASE] = process.argv;
const say = (...what) => console.log(...what);
const turn = () => new Promise((done) => setImmediate(done));
/** So long, and until what was to come in this turn and in the next one has come. */
const sleep = async (milliseconds) => {
  await new Promise((done) => setTimeout(done, milliseconds));
  await turn();
  await turn();
};

/** Its text is the same wherever it comes from. */
class Declined extends Error {
  constructor(what) {
    super(what);
    this.name = 'Declined';
    this.stack = `Declined: ${what}`;
  }
}

const charge = async ({ offset }, waits = true) => {
  if (waits) await null;
  throw new Declined(`order ${offset}`);
};
const pay = async ({ offset }) => { await sleep(1); return offset; };

/** A list of messages, as a client gives it. */
function messages(count = 1) {
  give(count);
  return new Promise((done) => new KafkaConsumer().consume(count, (error, list) => done(list)));
}

const load = (name) => require(path.join(process.env.PACKAGES, name));
class Model {
  constructor() { this.a = 1; }

  static table = 'orders';
}
const named = Object.assign(async () => 'done', { id: 7 });

class Task extends Promise {
  cancel() { return 'cancelled'; }
}
/** Begins when somebody asks for it. */
class Lazy extends Promise {
  then(...what) {
    say('begun');
    return super.then(...what);
  }
}

const CASES = {
  async 'promises that the program has handled'() {
    const inFlight = new Set();
    const given = [];
    for (const waits of [true, false]) {
      const tracked = (promise) => {
        inFlight.add(promise);
        promise.catch((error) => say('logged:', error.message)).finally(() => inFlight.delete(promise));
        given.push(promise);
        return promise;
      };
      const list = (await messages(2)).map((message) => tracked(charge(message, waits)));
      say(list.map((promise) => given.includes(promise)));
      await sleep(5);
    }
    say(inFlight.size);
  },
  async 'promises that nobody handles'() {
    process.on('exit', (status) => say('exit', status));
    (await messages(2)).map((message) => charge(message));
    await sleep(20);
    say('lives');
  },
  async 'promises that nobody handles, told of'() {
    const given = [];
    process.on('unhandledRejection', (error, promise) => say('unhandled', error.message, given.includes(promise)));
    process.on('rejectionHandled', (promise) => say('handled after all', given.includes(promise)));
    for (const waits of [true, false]) {
      (await messages(2)).map((message) => { given.push(charge(message, waits)); return given[given.length - 1]; });
      await sleep(5);
    }
    given[0].catch(() => {});
    await sleep(5);
    await turn();
  },
  async 'promises that are handled later in the same turn'() {
    const list = (await messages(2)).map((message) => charge(message, false));
    say(await Promise.allSettled(list).then((all) => all.map(({ reason }) => reason.message)));
    const [first] = (await messages()).map((message) => charge(message, false));
    process.nextTick(() => first.catch((error) => say(error.message)));
    await sleep(5);
  },
  async 'promises of classes, and thenables'() {
    const task = new Task((done) => setTimeout(done, 1, 'paid'));
    const [given] = (await messages()).map(() => task);
    say(given === task, given.cancel(), await given);
    const [made] = (await messages()).map((message) => Task.resolve(message.offset));
    say(made instanceof Task, made.cancel(), await made);
    const [lazy] = (await messages()).map(() => new Lazy((done) => done(7)));
    await sleep(5);
    say('now');
    say(await lazy);
    const thenable = { then(done) { say('asked'); done(8); } };
    const [same] = (await messages()).map(() => thenable);
    say(same === thenable, await same);
  },
  async 'modules of the program that have names of packages'() {
    for (const described of [true, false]) {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'own-'));
      if (described) fs.writeFileSync(path.join(folder, 'package.json'), '{ "name": "shop" }');
      const own = (name, text) => {
        const file = path.join(folder, name);
        fs.mkdirSync(path.dirname(file), { recursive: true });
        fs.writeFileSync(file, `module.exports = ${text};`);
        return require(file.replace(/\.js$/, ''));
      };
      const FastQ = own('fastq.js', 'class FastQ { constructor(most) { this.most = most; } static of(most) { return new this(most); } }');
      say(new FastQ(3).most, FastQ.of(4) instanceof FastQ, FastQ.name, FastQ.length, String(FastQ).length);
      const pLimit = own('p-limit.js', 'async function pLimit(most, works) { for (const work of works) await work(); return most; }');
      say(await pLimit(2, [named, named]), pLimit.length);
      const Bottleneck = own('bottleneck.js', 'class { schedule(one, two) { return [one, two]; } submit() {} }');
      say(new Bottleneck().schedule(named, Model).map((one) => one === named || one === Model));
      const { queue } = own('async/dist/async.js', '{ queue: (job, other) => ({ job, other, push: (one, two) => [one, two] }) }');
      say(queue(named, Model).job === named, queue(named, Model).push(named, Model)[1] === Model);
      const client = own('node-rdkafka.js', '{ ...require("node-rdkafka"), KafkaConsumer: class { consume() {} } }');
      const { Producer } = own('lib/node-rdkafka/index.js', 'require("node-rdkafka")');
      say(client.KafkaConsumer.prototype.consume.length, Producer.prototype.produce.length, Producer.prototype.produce.name);
      fs.rmSync(folder, { recursive: true });
    }
  },
  async 'iterators of lists'() {
    const list = await messages(3);
    for (const name of ['values', 'entries', 'forEach', 'map', 'flatMap', 'filter', 'slice', Symbol.iterator]) {
      say(name, list[name].name, list[name].length);
    }
    for (const iterator of [list.values(), list.entries(), list[Symbol.iterator](), list.filter(() => true).values()]) {
      say(iterator, Object.keys(iterator), iterator[Symbol.toStringTag], typeof iterator.map, typeof iterator.throw);
      say(Object.getPrototypeOf(iterator) === Object.getPrototypeOf([].values()), iterator.next.length);
      if (iterator.map) say([...iterator.take(2).map((one) => (one[1] || one).offset)]);
    }
    for (const [at, { offset }] of list.entries()) say(at, offset);
    say([...list].length, Array.from(list.values(), ({ offset }) => offset), JSON.stringify(list.map(({ offset }) => offset)));
    say(list.flatMap(function* of() { yield 1; }).map(String), Object.keys(list), Object.getOwnPropertyNames(list.slice(5)).length > 0);
    const others = [{ id: 1 }, null, 'two'];
    say(list.map.call(others, (one) => one), [...list.values.call(others)].length);
    say(Object.getOwnPropertyNames(list.filter.call(others, Boolean)));
    list.push(...others);
    list.forEach((one) => say(one && one.offset));
    for (const one of list.slice(1)) say(one && one.offset);
    say(begun.has(undefined) || begun.has(NaN), (await Promise.all(list.map(async (one) => one && one.id))).length);
    try { list.map(7); } catch (error) { say(error.message); }
  },
  async 'iterators of streams'() {
    const stream = KafkaConsumer.createReadStream();
    give(3);
    const iterator = stream[Symbol.asyncIterator]();
    say(iterator[Symbol.toStringTag], Object.keys(iterator), iterator.stream === stream, iterator[Symbol.asyncIterator]() === iterator);
    for (const name of ['next', 'return', 'throw', Symbol.asyncDispose]) say(name, typeof (name && iterator[name]));
    const { done, value } = await iterator.next();
    say(done, value.offset);
    say(await iterator.throw(new Declined('thrown')).catch((error) => error.message), await iterator.next(), stream.destroyed);
    for (const name of ['push', 'emit', 'pipe', Symbol.asyncIterator]) say(name, stream[name].name, stream[name].length);
    const other = KafkaConsumer.createReadStream();
    give(2);
    for await (const message of other) { say(message.offset); break; }
    say(other.destroyed);
    const disposed = KafkaConsumer.createReadStream()[Symbol.asyncIterator]();
    if (Symbol.asyncDispose && disposed[Symbol.asyncDispose]) say(await disposed[Symbol.asyncDispose]());
    const target = new Writable({ objectMode: true, write(message, encoding, done) { say(message.offset, done.length); done(); } });
    const looks = () => ['write', 'end', '_write', 'emit', 'pipe'].map((name) => [target[name].name, target[name].length]);
    say(looks());
    const piped = KafkaConsumer.createReadStream();
    give(2);
    say(piped.pipe(target) === target, looks());
    await new Promise((over) => target.on('finish', over));
  },
  async 'settings with functions'() {
    class Shop {
      constructor() { this.count = 0; }

      get eachBatch() { return () => say('a batch'); }

      async eachMessage() { say('a message'); }
    }
    const settings = [
      { async eachMessage({ message }) { say(message.offset, this.extra, this.eachMessage.name, this.eachMessage.length); }, extra: 1 },
      Object.freeze({ eachMessage: ({ message }) => charge(message).catch((error) => say(error.message)), get extra() { return 2; } }),
      { get eachBatch() { return ({ batch }) => say(batch.messages.length); } },
      { eachMessage: undefined, eachBatch: ({ batch: { messages: some } }) => some.forEach(({ offset }) => say(offset)) },
      Object.defineProperty({ eachBatch: () => say('a batch') }, 'eachMessage', { value: () => say('hidden') }),
      new Shop(), undefined,
    ];
    for (const some of settings) {
      give(2);
      const consumer = new KafkaJS.Kafka().consumer({});
      say(await consumer.run(some).catch((error) => error.constructor.name), consumer.run.name, consumer.run.length);
    }
  },
  async 'listeners'() {
    const emitter = new EventEmitter();
    const names = ['on', 'addListener', 'prependListener', 'emit', 'once'];
    say(names.map((name) => [emitter[name].name, emitter[name].length]), emitter.on === emitter.addListener);
    const [message] = await messages();
    give(3);
    const consumer = new KafkaConsumer();
    const listener = async function listener({ offset }) { say(offset, this === consumer); };
    consumer.on('data', listener).once('data', ({ offset }) => say('once', offset)).prependListener('data', () => say('first'));
    say(consumer.listeners('data').map((one) => one === listener), consumer.rawListeners('data').length, message.offset);
    consumer.consume();
    await sleep(5);
    consumer.removeAllListeners();
    say(consumer.emit('data', { offset: 1 }), Object.keys(consumer));
  },
  async 'resources of the program'() {
    class Job extends AsyncResource {
      constructor() { super('Job'); this.at = 1; }
    }
    give(2);
    await new Promise((done) => new KafkaConsumer().consume(async (error, { offset }) => {
      const job = new Job();
      const enumerable = (symbol) => Object.prototype.propertyIsEnumerable.call(job, symbol) && symbol.description;
      say(offset, Object.keys(job), Object.getOwnPropertySymbols(job).map(enumerable).filter((name) => /^tracer/.test(name)));
      job.runInAsyncScope(() => say(Object.keys(job)));
      if (offset === 1) done();
    }));
  },
  async 'what is said by the program'() {
    const [message] = await messages();
    const failing = charge(message);
    failing.catch((error) => say('logged:', error.message));
    say(processing(message, () => failing) === failing);
    let task;
    say(processing(message, () => { task = Task.resolve(1); return task; }) === task);
    say(await processing(message, async () => 2), await processing(message, () => pay({ offset: 3 })));
    const proxy = new Proxy(async () => 4, { apply: () => failing });
    say(processing(message, proxy) === failing);
    await sleep(5);
  },
};

const QUEUES = {
  async 'tasks and workers, as packages call them'() {
    const pLimit = load('p-limit');
    const Bottleneck = load('bottleneck');
    const { default: PQueue } = load('p-queue');
    const make = (C, ...rest) => [new C().a, C.table, rest.map(String)];
    const limit = pLimit(2);
    await messages();
    say(await limit(make, Model, named), limit.activeCount, Object.keys(Object.getOwnPropertyDescriptors(limit)), limit.name, limit.length);
    say(await limit(Model).catch((error) => error.message));
    say(await new Bottleneck().schedule(async (...what) => make(...what), Model, named));
    say(await new Bottleneck().schedule({ priority: 1 }, async (...what) => make(...what), Model));
    say(await new Promise((done) => new Bottleneck().submit(
      (C, name, over) => over(null, new C().a, name === named), Model, named, (...what) => done(what))));
    say(await new Bottleneck().wrap(async function wrapped(C) { return [this.its, new C().a]; }).call({ its: 7 }, Model).catch(String));
    say(await new PQueue().add(named), await new PQueue().addAll([named, async () => 2]));
    const { schedule, submit } = Bottleneck.prototype;
    say([PQueue.prototype.add, schedule, submit].map(({ name, length }) => [name, length]));
  },
  async 'queues of functions'() {
    const async = load('async');
    const fastq = load('fastq');
    const seen = async function seen(job) { return [job === named, job.id, this && this.its, await job()]; };
    await messages();
    const making = [fastq, fastq.promise, async.queue, async.default.queue, async.cargo, async.priorityQueue];
    say(making.map(({ name, length }) => [name, length]), new Set(making).size);
    say(await fastq.promise(seen, 1).push(named), await fastq.promise({ its: 1 }, seen, 1).unshift(named));
    say(await async.queue(seen, 1).pushAsync(named), await async.cargo(async ([job]) => [job === named, await job()]).pushAsync(named));
    const work = (job, over) => over(null, job === named, over.length);
    say(await new Promise((done) => async.queue(work, 1).push(named, (...what) => done(what))));
    say(await new Promise((done) => async.priorityQueue(work, 1).push(named, 3, (...what) => done(what))));
    const told = fastq({ its: 2 }, function worker(job, over) { over(null, [job === named, this.its]); }, 1);
    say(await new Promise((done) => told.push(named, (...what) => done(what))), told.push.name, told.push.length, told.concurrency);
  },
  async 'workers that have handled what they give'() {
    const fastq = load('fastq');
    for (const shared of [false, true]) {
      const worker = (order, done) => {
        const promise = charge(order);
        promise.then(() => done(), (error) => done(error));
        return promise;
      };
      const queue = fastq(worker, 1);
      const some = shared ? await messages(2) : [{ offset: 1 }, { offset: 2 }];
      for (const message of some) queue.push(message, (error) => say('told', error.message));
      await sleep(5);
    }
    const [message] = await messages();
    const queue = load('async').queue((order, done) => { const promise = charge(order); promise.catch(() => done()); return promise; }, 1);
    queue.push(message, () => say('over'));
    const limit = load('p-limit')(1);
    const [given] = (await messages()).map((order) => limit(() => charge(order)));
    say(await given.catch((error) => error.message));
    await sleep(5);
  },
};

/** What the layer has made of such promises; not for a program without it. */
async function told() {
  process.on('unhandledRejection', () => {});
  const first = give.given;
  await Promise.allSettled((await messages(2)).map((message) => charge(message)));
  await Promise.allSettled((await messages(2)).map((message) => charge(message, false)));
  (await messages(1)).map((message) => charge(message));
  (await messages(1)).map((message) => { const promise = charge(message); promise.catch(() => {}); return promise; });
  await sleep(20);
  say(failed.map(([number, type, message]) => `${number - first} ${type} ${message}`).join('; '));
  const [last] = await messages();
  const paid = processing(last, () => pay(last));
  const open = () => begun.get(last.offset) - (ended.get(last.offset) || 0);
  say('open', open());
  await paid;
  say('open', open());
}

if (CASE === undefined) say(Object.keys(process.env.PACKAGES ? QUEUES : CASES).join('\n'));
else ({ ...CASES, ...QUEUES, told })[CASE]();
