// Batches and queues of the program that are worked at in the code of one message, before it has said that it is done.
'use strict';

const { give, sent } = require('node-rdkafka');
const { COUNT, aWhile, again, ask, bill, billLater, listening, lists, producer, sleep } = require('./words');

const ofMany = async (order) => { await aWhile(); return order; };

/** What is to be billed, in a list; `whenFull` at the latest, what is `later` at some time. */
function batch(size, { later = () => {}, bills = (orders) => orders.forEach(bill) } = {}) {
  let orders = [];
  const flush = () => {
    const some = orders;
    orders = [];
    return bills(some);
  };
  return (order) => {
    orders.push(order);
    if (orders.length >= size) return flush();
    if (orders.length === 1) later(flush);
    return undefined;
  };
}

/** The same, whose messages wait until they are billed; `after` says it before or after. */
function awaitedBatch(size, later = () => {}) {
  let items = [];
  const flush = () => {
    const some = items;
    items = [];
    for (const { order } of some) bill(order);
    for (const { done } of some) done();
  };
  return (order) => new Promise((done) => {
    items.push({ order, done });
    if (items.length >= size) flush();
    else if (items.length === 1) later(flush);
  });
}

/** Runs so many tasks at a time; `ends` says how one ends. */
function queue(limit, ends) {
  const tasks = [];
  let running = 0;
  const next = async () => {
    running += 1;
    const { task, done } = tasks.shift();
    const goOn = () => { running -= 1; if (tasks.length > 0) next(); };
    await ends(task, done, goOn);
  };
  return (task) => new Promise((done) => {
    tasks.push({ task, done });
    if (running < limit) next();
  });
}
const ENDS = {
  before: async (task, done, goOn) => { const result = await task(); goOn(); done(result); },
  finally: async (task, done, goOn) => { try { done(await task()); } finally { goOn(); } },
  'finally first': async (task, done, goOn) => { let result; try { result = await task(); } finally { goOn(); done(result); } },
  then: (task, done, goOn) => Promise.resolve().then(task).then(done).finally(goOn),
};

/** Whatever is left over is not waited for. */
async function settled(listener, count = COUNT) {
  for (let round = 0; round < 3; round += 1) {
    const before = sent.length;
    let handled = 0;
    const done = listening(async (order) => { handled += 1; await listener(order); }, before + 1);
    await done;
    for (let waited = 0; waited < 40 && (handled < COUNT || sent.length < before + count); waited += 1) await sleep(5);
    again();
  }
}

/** The same with a listener that is not `async`. */
async function settledPlain(listener, count = COUNT) {
  for (let round = 0; round < 3; round += 1) {
    const before = sent.length;
    await listening((order) => { listener(order); }, before + 1);
    for (let waited = 0; waited < 40 && sent.length < before + count; waited += 1) await sleep(5);
    again();
  }
}

const shapes = {
  async 'batch by size, cut'() { await settledPlain(batch(10)); },
  async 'batch by size, after a while, cut'() { const add = batch(7); await settled(async (order) => { await aWhile(); add(order); }); },
  async 'batch by size, after a while, not awaited, cut'() {
    const add = batch(7);
    await settledPlain(async (order) => { await aWhile(); add(order); });
  },
  async 'batch by size, two at a time, cut'() { await settledPlain(batch(2)); await settled(batch(2)); },
  async 'batch by size, and then something else, cut'() {
    const add = batch(10);
    await settled(async (order) => { add(order); await aWhile(); });
    const later = batch(10);
    await settled(async (order) => { await aWhile(); later(order); await aWhile(); });
    const time = batch(2, { later: (flush) => setTimeout(flush, 3) });
    await settled(async (order) => { await aWhile(); time(order); await aWhile(); });
  },
  async 'batch by size, awaited, cut'() {
    const add = awaitedBatch(10);
    await settled(async (order) => { await aWhile(); await add(order); bill(order); }, COUNT * 2);
  },
  async 'batch by size, awaited, and nothing more, cut'() {
    const add = awaitedBatch(8);
    await settled(async (order) => { await aWhile(); await add(order); });
  },
  async 'batch of what a database answers, cut'() {
    const add = batch(6);
    await settled(async (order) => { await ask(); add(order); });
    const awaited = awaitedBatch(6);
    await settled(async (order) => { await ask(); await awaited(order); });
    const plain = batch(6);
    await settledPlain(async (order) => { await ask(); plain(order); });
    const slowly = batch(6, { bills: async (orders) => { for (const order of orders) { await ask(); bill(order); } } });
    await settledPlain(async (order) => { await ask(); slowly(order); });
  },
  async 'queue of what a database answers, cut'() {
    for (const ends of Object.values(ENDS)) {
      const put = queue(3, ends);
      await settled(async (order) => { await put(async () => { await ask(); bill(order); }); });
      await settledPlain((order) => { put(async () => { await ask(); bill(order); }); });
    }
  },
  async 'batch by a promise, cut'() {
    for (const later of [(flush) => Promise.resolve().then(flush), async (flush) => { await null; flush(); }]) {
      const add = awaitedBatch(Infinity, later);
      await settled(async (order) => { await aWhile(); await add(order); bill(order); }, COUNT * 2);
      const atOnce = awaitedBatch(Infinity, later);
      await settled(async (order) => { await atOnce(order); });
      await settledPlain(batch(Infinity, { later }));
    }
  },
  async 'batch by size, billed one after the other, cut'() {
    const bills = async (orders) => { for (const order of orders) await billLater(order); };
    await settledPlain(batch(8, { bills }));
    await settled(batch(8, { bills }));
  },
  async 'batch by size, billed one after the other from the first one on, cut'() {
    for (const wait of [aWhile, ask, () => null]) {
      const bills = async (orders) => { for (const order of orders) { bill(order); await wait(); } };
      await settledPlain(batch(4, { bills }));
      await settled(batch(4, { bills }));
      const notAwaited = batch(4, { bills });
      await settled(async (order) => { notAwaited(order); await aWhile(); });
    }
  },
  async 'batch by size or time, cut'() {
    for (const size of [2, 5, 100]) {
      const later = (flush) => setTimeout(flush, 3);
      await settledPlain(batch(size, { later }));
      const add = awaitedBatch(size, later);
      await settled(async (order) => { await aWhile(); await add(order); });
    }
  },
  /** Looked at with each message: what is older than a while goes. */
  async 'batch by age, looked at with each message, cut'() {
    let orders = [];
    let since = Date.now();
    await settledPlain(async (order) => {
      await aWhile();
      orders.push(order);
      if (Date.now() - since < 3) return;
      since = Date.now();
      const some = orders;
      orders = [];
      some.forEach(bill);
    });
  },
  /** The last of each key. */
  async 'batch by key, cut'() {
    const byKey = new Map();
    await settledPlain((order) => {
      byKey.set(order.offset % 8, order);
      if (byKey.size < 8) return;
      for (const one of byKey.values()) bill(one);
      byKey.clear();
    });
  },
  async 'batches of each key, cut'() {
    const byKey = new Map();
    await settled(async (order) => {
      const key = order.offset % 3;
      if (!byKey.has(key)) byKey.set(key, batch(4));
      byKey.get(key)(order);
    });
  },
  async 'debounce, cut'() {
    for (const hold of [clearTimeout, () => {}]) {
      let orders = [];
      let timer;
      const flush = () => { const some = orders; orders = []; some.forEach(bill); };
      const add = (order) => { orders.push(order); hold(timer); timer = setTimeout(flush, 4); };
      await settledPlain(add);
      await settled(async (order) => { await aWhile(); add(order); });
      await settledPlain(async (order) => { await aWhile(); add(order); });
    }
  },
  /** The first one is billed at once, and the others with the next one after a while. */
  async 'throttle, cut'() {
    let orders = [];
    let last = 0;
    await settledPlain(async (order) => {
      await aWhile();
      orders.push(order);
      if (Date.now() - last < 2) return;
      last = Date.now();
      for (const one of orders.splice(0)) bill(one);
    });
  },
  async 'acknowledged, and then a batch, cut'() {
    const acknowledge = ({ value }) => producer.produce('acknowledged', 0, Buffer.from(value));
    const add = batch(5);
    await settledPlain((order) => { acknowledge(order); add(order); }, COUNT * 2);
    const awaited = awaitedBatch(5);
    await settled(async (order) => { acknowledge(order); await aWhile(); await awaited(order); }, COUNT * 2);
  },
  async 'some of interest, and then a batch, cut'() {
    const add = batch(4);
    await settledPlain((order) => { if (order.offset % 3 === 0) add(order); }, Math.floor(COUNT / 3));
    const awaited = awaitedBatch(3);
    await settled(async (order) => { await aWhile(); if (order.offset % 3 === 0) await awaited(order); }, 12);
  },
  async 'two stages, cut'() {
    const second = batch(4);
    const first = batch(3, { bills: (orders) => orders.forEach(second) });
    await settledPlain(first);
    const stages = [queue(2, ENDS.before), queue(2, ENDS.finally)];
    await settled(async (order) => { await stages[0](() => aWhile()); await stages[1](() => billLater(order)); });
    const one = [];
    const two = [];
    const workers = { one: false, two: false };
    const workTwo = async () => { workers.two = true; while (two.length > 0) await billLater(two.shift()); workers.two = false; };
    const workOne = async () => {
      workers.one = true;
      while (one.length > 0) { two.push(await ofMany(one.shift())); if (!workers.two) workTwo(); }
      workers.one = false;
    };
    await settledPlain((order) => { one.push(order); if (!workers.one) workOne(); });
  },
  async 'failed once and tried again, cut'() {
    const failed = [];
    await settledPlain(async (order) => {
      await aWhile();
      if (order.offset % 4 !== 3) { failed.push(order); return; }
      for (const one of failed.splice(0)) bill(one);
      bill(order);
    });
    const tasks = [];
    let isBusy = false;
    const work = async () => {
      isBusy = true;
      while (tasks.length > 0) {
        const task = tasks.shift();
        await aWhile();
        if (task.tries === 0) tasks.push({ ...task, tries: 1 }); else bill(task.order);
      }
      isBusy = false;
    };
    await settled(async (order) => { tasks.push({ order, tries: 0 }); if (!isBusy) await work(); });
  },
  async 'workers with a list, cut'() {
    for (const isAwaited of [false, true]) {
      const orders = [];
      let working = 0;
      const work = async () => { working += 1; while (orders.length > 0) { await billLater(orders.shift()); } working -= 1; };
      const put = (order) => { orders.push(order); return working < 4 ? work() : undefined; };
      await (isAwaited ? settled(put) : settledPlain(put));
    }
  },
  async 'workers in turn, cut'() {
    const workers = Array.from({ length: 4 }, () => ({ orders: [], isBusy: false }));
    let turn = 0;
    const work = async (worker) => {
      worker.isBusy = true;
      while (worker.orders.length > 0) { const order = worker.orders.shift(); bill(order); await aWhile(); }
      worker.isBusy = false;
    };
    const put = (order) => {
      const worker = workers[turn];
      turn = (turn + 1) % workers.length;
      worker.orders.push(order);
      return worker.isBusy ? undefined : work(worker);
    };
    await settledPlain(put);
    await settled(put);
  },
  async 'chain of promises, cut'() {
    let last = Promise.resolve();
    const put = (order) => { last = last.then(() => billLater(order)); };
    await settledPlain((order) => put(order));
  },
  async 'callbacks that wait for the first, cut'() {
    let waiting;
    const get = (then) => {
      if (waiting) { waiting.push(then); return; }
      waiting = [then];
      setTimeout(() => { const all = waiting; waiting = undefined; all.forEach((one) => one()); }, 3);
    };
    await settledPlain((order) => get(() => bill(order)));
  },
  async 'batch in a loop, cut'() {
    const add = batch(3);
    await lists(async (orders) => { for (const order of orders) { await aWhile(); add(order); } });
    give(COUNT);
    const atOnce = batch(3);
    await lists((orders) => { for (const order of orders) atOnce(order); });
  },
  async 'batch of what functions for each put there, cut'() {
    const add = batch(3);
    await lists((orders) => { orders.forEach(add); });
  },
};
/** The first message has sent and waited more than those whose tasks it runs. */
shapes['queue that goes on while its message waits, cut'] = async () => {
  const put = queue(1, ENDS.before);
  const task = (order) => async () => { bill(order); await sleep(1); bill(order); };
  await settled(async (order) => { put(task(order)); await sleep(20); }, COUNT * 2);
};
for (const [name, ends] of Object.entries(ENDS)) {
  shapes[`queue that goes on: ${name}, cut`] = async () => {
    for (const limit of [1, 3]) {
      const put = queue(limit, ends);
      const task = (order) => async () => { bill(order); await billLater(order); };
      await settled(async (order) => { await put(task(order)); bill(order); }, COUNT * 3);
      await settled(async (order) => { put(task(order)); await aWhile(); }, COUNT * 2);
      await settledPlain((order) => { put(task(order)); }, COUNT * 2);
    }
  };
}

module.exports = shapes;
