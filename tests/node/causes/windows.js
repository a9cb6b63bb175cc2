// Windows of the program: each message that comes pushes an older one out, for which something is sent then.
'use strict';

const fs = require('fs');
const { give, sent } = require('node-rdkafka');
const { COUNT, aWhile, ask, bill, billLater, consumer, forward, listening, lists, producer, rounds, sleep } = require('./words');

const readFile = () => fs.promises.readFile(__filename);
const acknowledge = ({ value }) => producer.produce('acknowledged', 0, Buffer.from(value));
const isOfInterest = ({ offset }) => offset % 3 === 0;

/** Holds so many orders back. `pick` says which one goes, `bills` what is sent for it. */
function windowOf(size, bills = bill, pick = (orders) => orders.shift()) {
  const orders = [];
  return (order) => {
    orders.push(order);
    return orders.length > size ? bills(pick(orders)) : undefined;
  };
}

/** The same, where each waits until it goes. */
function awaitedWindow(size) {
  const items = [];
  return (order) => new Promise((done) => {
    items.push({ order, done });
    if (items.length <= size) return;
    const out = items.shift();
    bill(out.order);
    out.done();
  });
}

/** What is done with each message, for a window of some size. */
const WINDOWS = {
  'at once': (size) => windowOf(size),
  'after a while': (size) => { const add = windowOf(size); return async (order) => { await aWhile(); add(order); }; },
  'after a file is read': (size) => { const add = windowOf(size); return async (order) => { await readFile(); add(order); }; },
  'and a file is read after it': (size) => { const add = windowOf(size); return async (order) => { add(order); await readFile(); }; },
  'and a timer after it': (size) => { const add = windowOf(size); return async (order) => { add(order); await aWhile(); }; },
  'of what a database answers': (size) => { const add = windowOf(size); return async (order) => { await ask(); add(order); }; },
  'billed when a database has answered': (size) => windowOf(size, async (order) => { await ask(); bill(order); }),
  'billed after a while': (size) => windowOf(size, billLater),
  'two bills each': (size) => windowOf(size, (order) => { bill(order); bill(order); }),
  'and something before it': (size) => {
    const add = windowOf(size);
    return (order) => { acknowledge(order); return add(order); };
  },
  'and something before it, after a while': (size) => {
    const add = windowOf(size);
    return async (order) => { acknowledge(order); await aWhile(); add(order); };
  },
  'of messages of interest': (size) => {
    const add = windowOf(size);
    return (order) => (isOfInterest(order) ? add(order) : undefined);
  },
  'of messages of interest, after a while': (size) => {
    const add = windowOf(size);
    return async (order) => { if (isOfInterest(order)) { await aWhile(); add(order); } };
  },
  'of each key': (size) => {
    const byKey = [0, 1, 2].map(() => windowOf(size));
    return (order) => byKey[order.offset % 3](order);
  },
  /** The one with the least number goes, as where messages are put in order again. */
  'that sorts': (size) => {
    const add = windowOf(size, bill, (orders) => orders.sort((one, other) => one.offset - other.offset).shift());
    return async (order) => { await aWhile(); add(order); };
  },
  'of which any goes': (size) => windowOf(size + 3, bill,
    (orders) => orders.splice(Math.floor(Math.random() * (orders.length - 1)), 1)[0]),
  'of what is older than a while': () => {
    const orders = [];
    return (order) => {
      orders.push({ order, at: Date.now() });
      if (Date.now() - orders[0].at > 4) bill(orders.shift().order);
    };
  },
  'of what is older than a while, all of it': () => {
    const orders = [];
    return async (order) => {
      await ask();
      orders.push({ order, at: Date.now() });
      while (orders.length > 0 && Date.now() - orders[0].at > 4) bill(orders.shift().order);
    };
  },
  'of a cache': (size) => {
    const cache = new Map();
    return (order) => {
      cache.set(order.offset % (3 * size + 1), order);
      if (cache.size <= size) return;
      const [[oldest, out]] = cache;
      cache.delete(oldest);
      bill(out);
    };
  },
};
/** Its size, and whether the listener waits for what it does. */
const WAYS = { 'of one': [1, false], 'of three, in an async function': [3, true], 'of ten': [10, false] };

const shapes = {};
for (const [name, make] of Object.entries(WINDOWS)) {
  for (const [way, [size, waits]] of Object.entries(WAYS)) {
    const work = make(size);
    const listener = waits ? async (order) => { await work(order); } : (order) => { work(order); };
    shapes[`window ${way}, ${name}, cut`] = () => rounds(listener);
  }
}
for (const [name, before] of Object.entries({ 'at once': () => null, 'after a while': aWhile, 'after a database has answered': ask })) {
  shapes[`window in which messages wait, ${name}, cut`] = async () => {
    const add = awaitedWindow(3);
    await rounds(async (order) => { await before(); await add(order); });
  };
}
for (const [name, goThrough] of Object.entries({
  'in a loop': async (orders, add) => { for (const order of orders) add(order); },
  'in a loop, after a while': async (orders, add) => { for (const order of orders) { await aWhile(); add(order); } },
  'for each': async (orders, add) => { orders.forEach((order) => { add(order); }); },
  'for each, after a while': (orders, add) => Promise.all(orders.map(async (order) => { await aWhile(); add(order); })),
})) {
  shapes[`window ${name}, cut`] = async () => {
    const add = windowOf(3);
    for (let round = 0; round < 3; round += 1) {
      await lists((orders) => goThrough(orders, add));
      give(COUNT);
    }
  };
}

module.exports = {
  ...shapes,
  'window, one message at a time, cut': async () => {
    const add = windowOf(1);
    for (let order = 0; order < COUNT; order += 1) {
      await new Promise((done) => consumer.consume(1, (error, [one]) => { add(one); done(); }));
    }
  },
  'window for ten thousand messages, cut': async () => {
    const add = windowOf(3);
    consumer.on('data', (order) => { add(order); });
    for (let round = 0; round < 100; round += 1) {
      give(100);
      consumer.consume();
      await new Promise(setImmediate);
    }
    while (sent.length < 10000) await sleep(5);
  },
  /** From some message on each waits for the next ones. */
  'window from some message on, cut': async () => {
    const orders = [];
    await rounds((order) => {
      orders.push(order);
      if (order.offset < 60 || orders.length > 3) bill(orders.shift());
    });
  },
  /** The messages' own values, or keys, are sent on: then it is known whose they are. */
  async 'window that passes values on'() {
    const add = windowOf(3, forward);
    await listening((order) => { add(order); }, COUNT - 3);
  },
  async 'window that passes keys on'() {
    const add = windowOf(3, ({ value, key }) => producer.produce('bills', 0, Buffer.from(value), key));
    await listening(async (order) => { await aWhile(); add(order); }, COUNT - 3);
  },
};
