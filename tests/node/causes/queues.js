// Queues and batches of the program: what messages hand to code that runs it later, in the middle of another one's work.
'use strict';

const { give, sent } = require('node-rdkafka');
const { COUNT, aWhile, again, bill, billLater, consumer, forward, listening, lists, sleep } = require('./words');

/** Runs as many tasks at a time, and tells of the end of each. */
function limited(limit) {
  const tasks = [];
  let running = 0;
  const next = async () => {
    running += 1;
    const { task, done } = tasks.shift();
    done(await task());
    running -= 1;
    if (tasks.length > 0) next();
  };
  return (task) => new Promise((done) => {
    tasks.push({ task, done });
    if (running < limit) next();
  });
}

/** Bills many orders at once, and tells each of it. */
function batching(size, later, tellsEach) {
  let items = [];
  const flush = () => {
    const batch = items;
    items = [];
    for (const { order, done } of batch) { bill(order); if (tellsEach) done(); }
    if (!tellsEach) for (const { done } of batch) done();
  };
  return (order) => new Promise((done) => {
    items.push({ order, done });
    if (items.length >= size) flush();
    else if (items.length === 1) later(flush);
  });
}

module.exports = {
  /** One loop works at what all messages put there, in the context of the one that began it. */
  async 'queue of the program, cut'() {
    for (const isOfAsync of [false, true]) {
      const queue = [];
      let isBusy = false;
      const work = async () => {
        isBusy = true;
        while (queue.length > 0) { const order = queue.shift(); await billLater(order); bill(order); }
        isBusy = false;
      };
      const put = (order) => { queue.push(order); if (!isBusy) work(); };
      const before = sent.length;
      await listening(isOfAsync ? async (order) => put(order) : put, before + COUNT * 2);
      consumer.removeAllListeners();
      give(COUNT);
    }
  },
  async 'queue of the program, filled by a loop, cut'() {
    const queue = [];
    await lists(async (orders) => {
      for (const order of orders) {
        queue.push(order);
        if (queue.length === 1) setTimeout(() => { while (queue.length > 0) bill(queue.shift()); }, 3);
      }
      while (queue.length > 0) await sleep(1);
    });
  },
  /** The messages' own values are sent on. */
  async 'queue of the program, that passes on'() {
    const queue = [];
    let isBusy = false;
    const work = async () => {
      isBusy = true;
      while (queue.length > 0) { forward(queue.shift()); await aWhile(); }
      isBusy = false;
    };
    await listening((order) => { queue.push(order); if (!isBusy) work(); });
  },
  /** The same, one at a time: then each begins its own. */
  async 'queue of the program, at leisure'() {
    const queue = [];
    const work = async () => { while (queue.length > 0) await billLater(queue.shift()); };
    for (let order = 0; order < COUNT; order += 1) {
      if (order > 0) give(1);
      await new Promise((done) => consumer.consume(1, (error, orders) => { queue.push(...orders); work().then(done); }));
    }
  },
  async 'messages of no interest before, cut'() {
    for (let order = 0; order < COUNT; order += 1) {
      await new Promise((done) => consumer.consume(1, (error, [one]) => {
        if (one.offset % 2 === 0) done(); else billLater(one).then(done);
      }));
    }
  },
  /** Whoever has finished runs what is next. */
  async 'queue with a limit, awaited, cut'() {
    for (const limit of [1, 4]) {
      const queue = limited(limit);
      await listening(async (order) => {
        await queue(async () => { bill(order); await billLater(order); });
        bill(order);
      }, sent.length + COUNT * 3);
      again();
    }
  },
  async 'queue with a limit, not awaited, cut'() {
    for (const limit of [1, 4]) {
      const queue = limited(limit);
      const put = (order) => { queue(async () => { bill(order); await billLater(order); }); };
      for (const listener of [put, async (order) => put(order)]) {
        await listening(listener, sent.length + COUNT * 2);
        again();
      }
    }
  },
  async 'queue with a limit, awaited by all, cut'() {
    const queue = limited(2);
    await listening(async (order) => {
      const tasks = [1, 2].map(() => queue(async () => { bill(order); await aWhile(); bill(order); }));
      await Promise.all(tasks);
      bill(order);
    }, COUNT * 5);
  },
  async 'batch by a timer, cut'() {
    for (const resolvesAtOnce of [false, true]) {
      for (const later of [(work) => setTimeout(work, 3), setImmediate, process.nextTick, queueMicrotask]) {
        const add = batching(Infinity, later, resolvesAtOnce);
        await listening(async (order) => { await aWhile(); await add(order); bill(order); }, sent.length + COUNT * 2);
        again();
      }
    }
  },
  async 'batch by a timer, not awaited, cut'() {
    const add = batching(Infinity, (work) => setTimeout(work, 3));
    await listening((order) => { add(order); });
  },
};
