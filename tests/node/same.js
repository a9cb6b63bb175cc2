// What a program sees of its own functions, promises and lists: it says the same with the layer and without it, and ends the same.
//
//     node [--require …/layer/register.js] same.js [CASE]
//
// with `fake` in NODE_PATH. Without CASE it names them.
'use strict';

const { KafkaConsumer, begun, ended, failed, give } = require('node-rdkafka');
const { processing } = require('../../resolver/librdkafka/npm');

const [, , CASE] = process.argv;
const say = (...what) => console.log(...what);
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const turn = () => new Promise((done) => setImmediate(done));

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

if (CASE === undefined) say(Object.keys(CASES).join('\n'));
else ({ ...CASES, told })[CASE]();
