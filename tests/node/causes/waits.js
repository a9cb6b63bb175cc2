// What the code of one message waits for, and that of another brings about.
'use strict';

const EventEmitter = require('events');
const { give, sent } = require('node-rdkafka');
const { COUNT, aWhile, again, ask, askAny, bill, consumer, listening, producer, sleep } = require('./words');

module.exports = {
  /** Others wait for it meanwhile, and might wait for this one. */
  async 'answers of a database, learnt'() {
    const late = async (order) => { await ask(); bill(order); };
    for (const listener of [late, (order) => { late(order); }]) {
      await listening(listener, sent.length + COUNT);
      again();
    }
  },
  /** The stack, by which a place is known, is not looked at any more when all are sent from one, in turn. */
  async 'place that is usual, learnt'() {
    const rounds = async (number) => {
      for (let round = 0; round < number; round += 1) {
        await listening(async (order) => { await ask(); bill(order); }, sent.length + COUNT);
        again();
      }
    };
    await rounds(5);
    const { captureStackTrace } = Error;
    let looks = 0;
    Error.captureStackTrace = (...what) => { looks += 1; return captureStackTrace.apply(Error, what); };
    await rounds(3);
    Error.captureStackTrace = captureStackTrace;
    if (looks >= COUNT) throw new Error(`the stack was looked at ${looks} times`);
  },
  async 'answers of a database in any order, learnt'() {
    for (let round = 0; round < 5; round += 1) {
      await listening(async (order) => { await askAny(); bill(order); }, sent.length + COUNT);
      again();
    }
  },
  async 'answers of a database in any order, twice, learnt'() {
    for (let round = 0; round < 8; round += 1) {
      await listening(async (order) => { await askAny(); bill(order); await askAny(); bill(order); }, sent.length + COUNT * 2);
      again();
    }
  },
  async 'answers of a database in any order, not awaited, learnt'() {
    for (let round = 0; round < 8; round += 1) {
      await listening((order) => { askAny().then(() => bill(order)); }, sent.length + COUNT);
      again();
    }
  },
  async 'answers of a database, and several messages each, learnt'() {
    await listening(async (order) => { await ask(); for (let line = 0; line < 3; line += 1) bill(order); }, COUNT * 3);
  },
  /** One that has failed has left nothing for others to do. */
  async 'some that fail'() {
    process.on('unhandledRejection', () => {});
    for (let order = 0; order < COUNT; order += 1) {
      consumer.consume(1, async (error, [one]) => {
        if (one.offset % 3 === 0) throw new Error('no');
        bill(one);
      });
      await sleep(2);
    }
  },
  /** What came to nothing may be held in a window, until more and more do. */
  async 'of interest or not, cut'() {
    await listening((order) => { if (order.offset % 3 === 0) bill(order); }, Math.ceil(COUNT / 3));
    again();
    await listening(async (order) => { if (order.offset % 3 === 0) { await aWhile(); bill(order); } }, sent.length + 12);
  },
  async 'of interest or not, for long, learnt'() {
    consumer.on('data', (order) => { if (order.offset % 3 === 0) bill(order); });
    for (let round = 0; round < 200; round += 1) { consumer.consume(); await sleep(1); give(COUNT); }
  },
  async 'of no interest, seldom, cut'() {
    consumer.on('data', (order) => { if (order.offset % 100 !== 50) bill(order); });
    for (let round = 0; round < 20; round += 1) { consumer.consume(); await sleep(1); give(COUNT); }
  },
  /** A few are of no interest, and the others send several. */
  async 'of interest or not, and several messages each, cut'() {
    await listening((order) => { for (let line = 0; line < (order.offset % 4) * 2; line += 1) bill(order); }, COUNT * 3);
  },
  async 'several messages each'() {
    await listening((order) => { for (let line = 0; line < 3; line += 1) bill(order); }, COUNT * 3);
    again();
    await listening(async (order) => { bill(order); await aWhile(); bill(order); }, sent.length + COUNT * 2);
  },
  async 'to several topics'() {
    const topics = ['bills', 'drafts', 'audits'];
    await listening((order) => { for (const topic of topics) producer.produce(topic, 0, Buffer.from(order.value)); }, COUNT * 3);
    again();
    await listening((order) => { producer.produce(topics[order.offset % 3], 0, Buffer.from(order.value)); }, sent.length + COUNT);
    again();
    await listening(async (order) => {
      for (const topic of topics) { await aWhile(); producer.produce(topic, 0, Buffer.from(order.value)); }
    }, sent.length + COUNT * 3);
  },
  async 'at once or later, learnt'() {
    await listening(async (order) => { if (order.offset % 2 === 0) await aWhile(); bill(order); });
    again();
    for (let round = 0; round < 5; round += 1) {
      await listening((order) => { if (order.offset % 2 === 0) bill(order); else setTimeout(() => bill(order), 3); }, sent.length + COUNT);
      again();
    }
  },
  async 'listener of another message, cut'() {
    const emitter = new EventEmitter();
    await listening(async (order) => {
      await aWhile();
      if (emitter.listenerCount('work') === 0) emitter.on('work', bill);
      emitter.emit('work', order);
    });
  },
  async 'memoized promise, learnt'() {
    let shared;
    await listening(async (order) => {
      shared = shared || sleep(10);
      await shared;
      bill(order);
    });
  },
  async 'promise resolved by another message, learnt'() {
    let release;
    let gate = new Promise((done) => { release = done; });
    for (let round = 0; round < 5; round += 1) {
      await listening(async (order) => {
        if (order.offset % 4 === 3) { await aWhile(); release(); gate = new Promise((done) => { release = done; }); } else await gate;
        bill(order);
      }, sent.length + COUNT);
      again();
    }
  },
  async 'listener that another message waits for, cut'() {
    const emitter = new EventEmitter();
    emitter.setMaxListeners(COUNT);
    await listening(async (order) => {
      if (order.offset % 2 === 0) {
        emitter.once('go', () => bill(order));
        return;
      }
      await aWhile();
      emitter.emit('go');
      bill(order);
    });
  },
  async 'event that another message waits for, learnt'() {
    const emitter = new EventEmitter();
    emitter.setMaxListeners(COUNT);
    for (let round = 0; round < 5; round += 1) {
      await listening(async (order) => {
        if (order.offset % 2 === 0) { await EventEmitter.once(emitter, 'go'); bill(order); return; }
        await aWhile();
        emitter.emit('go');
        bill(order);
      }, sent.length + COUNT);
      again();
    }
  },
};
