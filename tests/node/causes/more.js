// Further shapes of programs: streams, limits, workers, classes, retries, and what is handed on by events.
'use strict';

const EventEmitter = require('events');
const { Readable, Transform, Writable, pipeline } = require('stream');
const { Worker } = require('worker_threads');
const { KafkaConsumer, begun, ended, give, sent } = require('node-rdkafka');
const { currentContext } = require('../../../resolver/librdkafka/npm/layer/register');
const { COUNT, aWhile, again, ask, bill, billLater, consumer, forward, listening, lists, producer, sleep, take } = require('./words');

/** At most so many at a time, as p-limit does it. */
function limit(most) {
  const waiting = [];
  let active = 0;
  const next = () => { active -= 1; if (waiting.length > 0) waiting.shift()(); };
  const run = async (work, resolve) => {
    active += 1;
    const result = (async () => work())();
    resolve(result);
    try { await result; } catch {} // The caller has it.
    next();
  };
  return (work) => new Promise((resolve) => {
    const begin = () => run(work, resolve);
    if (active < most) begin(); else waiting.push(begin);
  });
}

class Shop {
  constructor() {
    this.seen = 0;
    this.handle = this.handle.bind(this);
  }

  async handle(order) {
    this.seen += 1;
    await this.#charge();
    this.#bill(order);
  }

  async #charge() { await aWhile(); }

  #bill({ value }) { producer.produce('bills', 0, Buffer.from(value)); }
}

module.exports = {
  async 'method that is bound'() {
    const shop = new Shop();
    await listening(shop.handle);
    again();
    await listening((order) => shop.handle(order), sent.length + COUNT);
  },
  async 'pipeline with a transform'() {
    const stream = KafkaConsumer.createReadStream();
    const bills = new Transform({
      objectMode: true,
      highWaterMark: 3,
      async transform(order, encoding, done) { await aWhile(); bill(order); done(null, { of: order.value }); },
    });
    const sink = new Writable({
      objectMode: true, write(made, encoding, done) { producer.produce('bills', 0, Buffer.from(made.of)); setImmediate(done); },
    });
    await new Promise((done) => pipeline(stream, bills, sink, done));
  },
  async 'sink that calls itself again when it is ready'() {
    const under = [];
    let isReady = false;
    const sink = new Writable({
      objectMode: true,
      write(order, encoding, done) {
        if (!isReady) return this.once('ready', () => this._write(order, encoding, done));
        under.push([order.offset, currentContext()]);
        bill(order);
        return setTimeout(done, 1);
      },
    });
    const stream = KafkaConsumer.createReadStream();
    setTimeout(() => { isReady = true; sink.emit('ready'); }, 20);
    await new Promise((done) => pipeline(stream, sink, done));
    const contexts = new Set(under.map(([, context]) => context));
    if (contexts.size !== under.length || contexts.has(undefined)) throw new Error(`written under ${JSON.stringify(under)}`);
  },
  async 'sink that writes several one by one'() {
    const under = [];
    const sink = new Writable({
      objectMode: true,
      write(order, encoding, done) {
        under.push([order.offset, currentContext()]);
        bill(order);
        setTimeout(done, 1);
      },
      async writev(chunks, done) {
        for (const { chunk, encoding } of chunks) await new Promise((written) => this._write(chunk, encoding, written));
        done();
      },
    });
    await new Promise((done) => pipeline(KafkaConsumer.createReadStream(), sink, done));
    const contexts = new Set(under.map(([, context]) => context));
    if (contexts.size !== under.length || contexts.has(undefined)) throw new Error(`written under ${JSON.stringify(under)}`);
  },
  async 'sink that fails with chunks that wait'() {
    let count = 0;
    const sink = new Writable({
      objectMode: true,
      write(order, encoding, done) {
        bill(order);
        count += 1;
        setTimeout(() => done(count === 4 ? new Error('full') : null), 5);
      },
    });
    await new Promise((done) => pipeline(KafkaConsumer.createReadStream(), sink, () => setTimeout(done, 100)));
    const open = [...begun.keys()].filter((offset) => !ended.get(offset));
    if (begun.size < 5 || open.length > 0) throw new Error(`${begun.size} begun, not ended: ${open}`);
  },
  async 'pipeline with a generator, cut'() {
    const stream = KafkaConsumer.createReadStream();
    const made = async function* made(orders) { for await (const order of orders) { await aWhile(); yield { value: order.value }; } };
    const sink = new Writable({ objectMode: true, write(order, encoding, done) { bill(order); done(); } });
    await new Promise((done) => pipeline(stream, made, sink, done));
  },
  async 'stream of the program that is fed, cut'() {
    const inbox = new Readable({ objectMode: true, read() {} });
    const working = (async () => { for await (const order of inbox) { await aWhile(); bill(order); } })();
    await listening((order) => { inbox.push(order); });
    inbox.push(null);
    await working;
  },
  async 'limit, as p-limit has it, cut'() {
    for (const most of [1, 3]) {
      const limited = limit(most);
      await listening(async (order) => { await limited(() => billLater(order)); }, sent.length + COUNT);
      again();
      await listening((order) => { limited(() => billLater(order)); }, sent.length + COUNT);
      again();
    }
  },
  /** A worker's answer resolves the promise that each message waits for. */
  async 'worker that answers promises, learnt'() {
    const worker = new Worker("const { parentPort } = require('worker_threads'); parentPort.on('message', (m) => setTimeout(() => parentPort.postMessage(m), Math.random() * 5));",
      { eval: true });
    const answers = new Map();
    worker.on('message', (offset) => { answers.get(offset)(); answers.delete(offset); });
    const work = ({ offset }) => new Promise((done) => { answers.set(offset, done); worker.postMessage(offset); });
    for (let round = 0; round < 6; round += 1) {
      await listening(async (order) => { await work(order); bill(order); }, sent.length + COUNT);
      again();
    }
    await worker.terminate();
  },
  async 'batch of setImmediate, cut'() {
    let orders = [];
    const flush = () => { const some = orders; orders = []; some.forEach(bill); };
    const add = (order) => { orders.push(order); if (orders.length === 1) setImmediate(flush); };
    await listening((order) => { add(order); });
    again();
    await listening(async (order) => { await aWhile(); add(order); }, sent.length + COUNT);
  },
  /** The last of each key, when it has been quiet for a while. */
  async 'debounced for each key, cut'() {
    const timers = new Map();
    const later = (order) => {
      const key = order.offset % 8;
      clearTimeout(timers.get(key));
      timers.set(key, setTimeout(() => bill(order), 4));
    };
    for (let round = 0; round < 5; round += 1) {
      await listening((order) => { later(order); }, sent.length + 8);
      again();
    }
  },
  async 'events that hand a message on'() {
    const bus = new EventEmitter();
    bus.on('order', (order) => bus.emit('paid', order));
    bus.on('paid', async (order) => { await aWhile(); bill(order); });
    await listening((order) => { bus.emit('order', order); });
  },
  async 'tried again after a while'() {
    const tries = new Map();
    const attempt = async (order) => {
      const tried = (tries.get(order.offset) || 0) + 1;
      tries.set(order.offset, tried);
      await sleep(1);
      if (tried < 3) throw new Error('not yet');
      bill(order);
    };
    await listening(async (order) => {
      for (let delay = 1; ; delay *= 2) {
        try { await attempt(order); return; } catch { await sleep(delay); }
      }
    });
  },
  /** What fails is put into a list, which one timer goes through. */
  async 'tried again from a list, cut'() {
    const failed = [];
    const retrying = setInterval(() => failed.splice(0).forEach(bill), 5);
    await listening(async (order) => { await aWhile(); if (order.offset % 3 === 0) failed.push(order); else bill(order); });
    clearInterval(retrying);
  },
  async 'iterator of events, learnt'() {
    const made = async () => {
      let left = COUNT;
      for await (const [order] of EventEmitter.on(consumer, 'data')) {
        await aWhile();
        forward(order);
        left -= 1;
        if (left === 0) return;
      }
    };
    const done = made();
    consumer.consume();
    await done;
  },
  async 'reduce over a list, cut'() {
    await lists((orders) => orders.reduce((before, order) => before.then(() => billLater(order)), Promise.resolve()));
  },
  async 'all of several sends each, learnt'() {
    for (let round = 0; round < 5; round += 1) {
      await listening(async (order) => {
        await Promise.all([ask().then(() => bill(order)), aWhile().then(() => bill(order)), Promise.resolve(bill(order))]);
      }, sent.length + COUNT * 3);
      again();
    }
  },
  async 'two consumers, one of which wakes the other, cut'() {
    const orders = [];
    const ticks = new KafkaConsumer().on('data', async () => { await aWhile(); if (orders.length > 0) bill(orders.shift()); });
    consumer.on('data', (order) => { orders.push(order); });
    for (let round = 0; round < COUNT; round += 1) {
      give(1, 'orders', consumer);
      give(1, 'ticks', ticks);
      consumer.consume();
      ticks.consume();
      await sleep(2);
    }
  },
  async 'race against a timeout'() {
    await listening(async (order) => {
      await Promise.race([aWhile(), sleep(50)]);
      bill(order);
    });
  },
  async 'list by index, and a task each, cut'() {
    for (;;) {
      const orders = await take(7);
      if (orders.length === 0) return;
      const all = [];
      for (let at = 0; at < orders.length; at += 1) all.push(billLater(orders[at]));
      await Promise.all(all);
    }
  },
};
