// Windows and queues of the program that begin, or grow, when the same place has sent for long.
'use strict';

const fs = require('fs');
const { aWhile, ask, bill, rounds } = require('./words');

const readFile = () => fs.promises.readFile(__filename);

const manyRounds = (listener) => rounds(listener, 8, 60);

/** Holds so many orders back: `size` of the number that came. */
function window(size, bills = bill) {
  const orders = [];
  let came = 0;
  return (order) => {
    orders.push(order);
    came += 1;
    return orders.length > size(came) ? bills(orders.shift()) : undefined;
  };
}

const SIZES = {
  'from none to one': (came) => (came < 150 ? 0 : 1),
  'from none to five': (came) => (came < 150 ? 0 : 5),
  'from none to thirty': (came) => (came < 150 ? 0 : 30),
  'from one to four': (came) => (came < 150 ? 1 : 4),
  'by one now and then': (came) => Math.floor(came / 50),
  'and shrinks again': (came) => (came % 100 < 50 ? 0 : 4),
};
const WAITS = { 'at once': undefined, 'after a while': aWhile, 'after a database has answered': ask, 'after a file is read': readFile };

const shapes = {};
for (const [size, sizeOf] of Object.entries(SIZES)) {
  for (const [name, wait] of Object.entries(WAITS)) {
    const work = () => {
      const add = window(sizeOf);
      return wait ? async (order) => { await wait(); add(order); } : (order) => { add(order); };
    };
    shapes[`window that grows ${size}, ${name}, cut`] = () => manyRounds(work());
    shapes[`window that grows ${size}, ${name}, not awaited, cut`] = () => {
      const add = work();
      return manyRounds((order) => { add(order); });
    };
    for (const [after, more] of Object.entries({ something: ask, 'a timer': aWhile })) {
      shapes[`window that grows ${size}, ${name}, and ${after} after it, cut`] = () => {
        const add = work();
        return manyRounds(async (order) => { await add(order); await more(); });
      };
      shapes[`window that grows ${size}, ${name}, and ${after} after it, not awaited, cut`] = () => {
        const add = work();
        return manyRounds((order) => { Promise.resolve(add(order)).then(more); });
      };
    }
  }
}

/** Runs at most so many tasks at a time, as many as the number that came says. */
function queue(limit) {
  const tasks = [];
  let running = 0;
  let came = 0;
  const next = async () => {
    running += 1;
    await tasks.shift()();
    running -= 1;
    if (tasks.length > 0) next();
  };
  return (task) => {
    came += 1;
    tasks.push(task);
    if (running < limit(came)) return next();
    return undefined;
  };
}
const LIMITS = {
  'one at a time, from some message on': (came) => (came < 150 ? Infinity : 1),
  'from one to five at a time': (came) => (came < 150 ? 1 : 5),
  'from five to one at a time': (came) => (came < 150 ? 5 : 1),
};
for (const [limit, limitOf] of Object.entries(LIMITS)) {
  for (const [name, wait] of Object.entries(WAITS)) {
    const task = (order) => async () => { if (wait) await wait(); bill(order); };
    shapes[`queue, ${limit}, ${name}, cut`] = () => {
      const put = queue(limitOf);
      return manyRounds((order) => { put(task(order)); });
    };
    shapes[`queue, ${limit}, ${name}, awaited, cut`] = () => {
      const put = queue(limitOf);
      return manyRounds(async (order) => { await put(task(order)); });
    };
  }
}

/** A batch whose size grows. */
for (const [name, wait] of Object.entries(WAITS)) {
  const batch = (sizeOf) => {
    let orders = [];
    let came = 0;
    return (order) => {
      orders.push(order);
      came += 1;
      if (orders.length < sizeOf(came)) return;
      const all = orders;
      orders = [];
      all.forEach(bill);
    };
  };
  for (const [size, sizeOf] of Object.entries({ 'from one to five': (came) => (came < 150 ? 1 : 5), 'by load': (came) => (came % 50 > 40 ? 1 : 4) })) {
    shapes[`batch that grows ${size}, ${name}, cut`] = () => {
      const add = batch(sizeOf);
      return manyRounds(async (order) => { if (wait) await wait(); add(order); });
    };
    shapes[`batch that grows ${size}, ${name}, not awaited, cut`] = () => {
      const add = batch(sizeOf);
      return manyRounds((order) => { (async () => { if (wait) await wait(); add(order); })(); });
    };
  }
}

/** A window of what passes a filter, after all have passed; and messages that are left out and none is held. */
for (const [name, wait] of Object.entries(WAITS)) {
  shapes[`window of what passes a filter, from some message on, ${name}, cut`] = () => {
    const add = window((came) => (came < 150 ? 0 : 3));
    let came = 0;
    return manyRounds(async (order) => {
      came += 1;
      if (came > 150 && order.offset % 3 !== 0) return;
      if (wait) await wait();
      add(order);
    });
  };
}

module.exports = shapes;
