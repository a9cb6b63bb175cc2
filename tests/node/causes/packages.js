// Queues, pools and locks of packages, which messages share.
'use strict';

const path = require('path');
const { sent } = require('node-rdkafka');
const { COUNT, aWhile, again, bill, billLater, listening } = require('./words');

const load = (name) => require(path.join(process.env.PACKAGES, name));

/** Bills five at a time. */
function batch() {
  let orders = [];
  return (order) => {
    orders.push(order);
    if (orders.length < 5) return;
    const some = orders;
    orders = [];
    some.forEach(bill);
  };
}

module.exports = {
  async 'async-mutex, learnt'() {
    const { Mutex, Semaphore } = load('async-mutex');
    for (const lock of [new Mutex(), new Semaphore(3)]) {
      await listening(async (order) => {
        await lock.runExclusive(async () => { bill(order); await billLater(order); bill(order); });
        bill(order);
      }, sent.length + COUNT * 4);
      again();
      await listening(async (order) => {
        const taken = await lock.acquire();
        const release = Array.isArray(taken) ? taken[1] : taken;
        try { bill(order); await billLater(order); } finally { release(); }
        bill(order);
      }, sent.length + COUNT * 3);
      again();
    }
  },
  async 'bottleneck, learnt'() {
    const Bottleneck = load('bottleneck');
    for (const settings of [{ maxConcurrent: 1 }, { maxConcurrent: 3 }, { minTime: 2 }]) {
      const limiter = new Bottleneck(settings);
      await listening(async (order) => {
        await limiter.schedule(async () => { bill(order); await billLater(order); });
        bill(order);
      }, sent.length + COUNT * 3);
      again();
      await listening((order) => {
        limiter.submit((done) => { bill(order); billLater(order).then(done); }, () => bill(order));
      }, sent.length + COUNT * 3);
      again();
    }
  },
  async 'dataloader that sends, cut'() {
    const DataLoader = load('dataloader');
    const loader = new DataLoader(async (orders) => {
      orders.forEach(bill);
      await aWhile();
      orders.forEach(bill);
      return orders;
    }, { cache: false });
    await listening(async (order) => { await aWhile(); await loader.load(order); bill(order); }, COUNT * 3);
  },
  async 'p-queue, of modules, not awaited, cut'() {
    const { default: PQueue } = await import(path.join(process.env.PACKAGES, 'p-queue-9/dist/index.js'));
    for (const concurrency of [1, 4]) {
      const queue = new PQueue({ concurrency });
      const put = (order) => { queue.add(async () => { bill(order); await billLater(order); }); };
      for (const listener of [put, async (order) => { put(order); await aWhile(); }]) {
        await listening(listener, sent.length + COUNT * 2);
        again();
      }
    }
  },
  /** A batch of the program's own, which a message's wait began. */
  async 'dataloader, learnt'() {
    const DataLoader = load('dataloader');
    const loader = new DataLoader(async (keys) => { await aWhile(); return keys; });
    await listening(async (order) => { await loader.load(order.offset); bill(order); });
  },
  async 'generic-pool, learnt'() {
    const pool = load('generic-pool').createPool(
      { create: async () => { await aWhile(); return {}; }, destroy: async () => {} }, { max: 3 });
    await listening(async (order) => {
      const one = await pool.acquire();
      await billLater(order);
      await pool.release(one);
      bill(order);
    }, COUNT * 2);
    await pool.drain();
    await pool.clear();
  },
  async 'fastq, learnt soon'() {
    const queue = load('fastq')((order, done) => { bill(order); billLater(order).then(() => done(), done); }, 3);
    await listening((order) => { queue.push(order); }, COUNT * 2);
  },
  async 'fastq, promises, learnt soon'() {
    const queue = load('fastq').promise(async (order) => { bill(order); await billLater(order); }, 3);
    await listening(async (order) => { await queue.push(order); }, COUNT * 2);
  },
  async 'fastq and p-limit, imported, cut'() {
    const { default: fastq } = await import(path.join(process.env.PACKAGES, 'fastq/queue.js'));
    const { default: pLimit } = await import(path.join(process.env.PACKAGES, 'p-limit/index.js'));
    const queue = fastq((order, done) => { bill(order); billLater(order).then(() => done(), done); }, 3);
    await listening((order) => { queue.push(order); }, COUNT * 2);
    again();
    const limit = pLimit(3);
    await listening(async (order) => { await limit(async () => { bill(order); await billLater(order); }); }, COUNT * 4);
  },
  async 'async.queue, learnt soon'() {
    const queue = load('async').queue((order, done) => { bill(order); billLater(order).then(() => done(), done); }, 3);
    await listening((order) => { queue.push(order); }, COUNT * 2);
  },
  /** The end of each task is known, and so soon what its place does. */
  async 'fastq, one after the other, learnt soon'() {
    const second = load('fastq')((order, done) => { bill(order); aWhile().then(() => done()); }, 2);
    const first = load('fastq')((order, done) => { aWhile().then(() => { second.push(order); done(); }); }, 2);
    await listening((order) => { first.push(order); });
  },
  async 'batch of a queue, cut'() {
    const making = [
      () => { const add = batch(); return load('fastq')((order, done) => { add(order); aWhile().then(() => done()); }, 2); },
      () => { const add = batch(); return load('fastq').promise(async (order) => { await aWhile(); add(order); }, 3); },
      () => { const add = batch(); const limit = load('p-limit')(3); return { push: (order) => limit(async () => { await aWhile(); add(order); }) }; },
    ];
    for (const make of making) {
      const queue = make();
      await listening((order) => { queue.push(order); }, sent.length + COUNT);
      again();
    }
  },
  async 'list that a queue empties, cut'() {
    let orders = [];
    const queue = load('fastq')((order, done) => {
      const some = orders;
      orders = [];
      some.forEach(bill);
      aWhile().then(() => done());
    }, 1);
    for (let round = 0; round < 3; round += 1) {
      await listening((order) => { orders.push(order); queue.push(order); }, sent.length + COUNT);
      again();
    }
  },
  /** It runs what was put there for one message in the context of another, which is over by then: nothing is said. */
  async 'p-queue, of modules, cut'() {
    const { default: PQueue } = await import(path.join(process.env.PACKAGES, 'p-queue-9/dist/index.js'));
    const queue = new PQueue({ concurrency: 3 });
    await listening(async (order) => { await queue.add(async () => { bill(order); await billLater(order); }); }, COUNT * 2);
  },
  async 'p-limit, learnt'() {
    const limit = load('p-limit')(3);
    await listening(async (order) => { await limit(async () => { bill(order); await billLater(order); }); }, COUNT * 2);
    again();
    await listening((order) => { limit(async () => { bill(order); await billLater(order); }); }, COUNT * 4);
  },
  async 'p-queue, learnt'() {
    const queue = new (load('p-queue').default)({ concurrency: 3 });
    await listening(async (order) => { await queue.add(async () => { bill(order); await billLater(order); }); }, COUNT * 2);
    again();
    await listening((order) => { queue.add(async () => { bill(order); await billLater(order); }); }, COUNT * 4);
  },
  async 'p-limit, of modules, learnt'() {
    const { default: pLimit } = await import(path.join(process.env.PACKAGES, 'p-limit-7/index.js'));
    const limit = pLimit(3);
    await listening(async (order) => { await limit(async () => { bill(order); await billLater(order); }); }, COUNT * 2);
  },
};
