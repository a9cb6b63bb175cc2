// What the code of one message waits for, and that of another brings about.
'use strict';

const EventEmitter = require('events');
const { sent } = require('node-rdkafka');
const { COUNT, aWhile, again, ask, bill, consumer, listening, sleep } = require('./words');

module.exports = {
  /** Others wait for it meanwhile, and might wait for this one. */
  async 'answers of a database, learnt'() {
    const late = async (order) => { await ask(); bill(order); };
    for (const listener of [late, (order) => { late(order); }]) {
      await listening(listener, sent.length + COUNT);
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
  async 'of interest or not, learnt'() {
    await listening((order) => { if (order.offset % 3 === 0) bill(order); }, Math.ceil(COUNT / 3));
    again();
    await listening(async (order) => { if (order.offset % 3 === 0) { await aWhile(); bill(order); } }, sent.length + 12);
  },
  /** A few are of no interest, and the others send several. */
  async 'of interest or not, and several messages each, learnt'() {
    await listening((order) => { for (let line = 0; line < (order.offset % 4) * 2; line += 1) bill(order); }, COUNT * 3);
  },
  async 'at once or later, learnt'() {
    await listening(async (order) => { if (order.offset % 2 === 0) await aWhile(); bill(order); });
    again();
    await listening((order) => { if (order.offset % 2 === 0) bill(order); else setTimeout(() => bill(order), 3); }, sent.length + COUNT);
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
    await listening(async (order) => {
      if (order.offset % 4 === 3) { await aWhile(); release(); gate = new Promise((done) => { release = done; }); } else await gate;
      bill(order);
    });
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
    await listening(async (order) => {
      if (order.offset % 2 === 0) { await EventEmitter.once(emitter, 'go'); bill(order); return; }
      await aWhile();
      emitter.emit('go');
      bill(order);
    });
  },
};
