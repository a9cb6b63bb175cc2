// What the code of one message waits for, and that of another brings about.
'use strict';

const EventEmitter = require('events');
const { COUNT, aWhile, bill, listening, sleep } = require('./words');

module.exports = {
  async 'listener of another message, cut'() {
    const emitter = new EventEmitter();
    await listening(async (order) => {
      await aWhile();
      if (emitter.listenerCount('work') === 0) emitter.on('work', bill);
      emitter.emit('work', order);
    });
  },
  async 'memoized promise'() {
    let shared;
    await listening(async (order) => {
      shared = shared || sleep(10);
      await shared;
      bill(order);
    });
  },
  async 'promise resolved by another message'() {
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
  async 'event that another message waits for'() {
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
