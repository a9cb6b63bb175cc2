// What several consumers, or topics, share; what goes on beside a batch; and places that messages pass for themselves as well.
'use strict';

const fs = require('fs');
const http = require('http');
const { KafkaConsumer, give, sent } = require('node-rdkafka');
const { COUNT, aWhile, ask, bill, billLater, consumer, forward, sleep } = require('./words');

const readFile = () => fs.promises.readFile(__filename);

/** Bills so many at a time. */
function batch(size, bills = (orders) => orders.forEach(bill)) {
  const orders = [];
  return (order) => {
    orders.push(order);
    return orders.length >= size ? bills(orders.splice(0)) : undefined;
  };
}

/** Runs so many tasks at a time, the next one when one has ended. */
function queue(limit) {
  const tasks = [];
  let running = 0;
  const next = async () => {
    running += 1;
    await tasks.shift()();
    running -= 1;
    if (tasks.length > 0) next();
  };
  return (task) => { tasks.push(task); if (running < limit) next(); };
}

/** Several rounds of messages, many at once and some one at a time. */
async function rounds(listener, number = 4) {
  consumer.on('data', listener);
  for (let round = 0; round < number; round += 1) {
    consumer.consume();
    await sleep(40);
    for (let order = 0; order < 7; order += 1) { give(1); consumer.consume(); await sleep(2); }
    give(COUNT);
  }
  consumer.removeAllListeners();
  await quiet();
}

/** Until nothing more is sent. */
async function quiet() {
  for (let before = -1; before !== sent.length || before === 0; await sleep(60)) before = sent.length;
}

/** The same for several consumers, each with its listener; each has its turn. */
async function turns(listeners, number = 12) {
  const consumers = listeners.map((listener) => new KafkaConsumer().on('data', listener));
  for (let round = 0; round < number; round += 1) {
    for (const one of consumers) {
      give(1 + (round % 5), 'orders', one);
      one.consume();
      if (round % 3 !== 0) await sleep(2);
    }
    await sleep(3);
  }
  await quiet();
}

/** A listener that does it at once, and others that wait first. */
const WAITS = { 'at once': undefined, 'after a while': aWhile, 'after a database has answered': ask, 'after a file is read': readFile };
const shapes = {};
for (const [name, wait] of Object.entries(WAITS)) {
  const listener = (work) => (wait ? async (order) => { await wait(); return work(order); } : work);
  const notAwaited = (work) => (order) => { listener(work)(order); };
  shapes[`batch that consumers share, ${name}, cut`] = async () => {
    const add = batch(5);
    await turns([listener(add), notAwaited(add), listener(add)]);
  };
  shapes[`window that consumers share, ${name}, cut`] = async () => {
    const orders = [];
    const add = (order) => { orders.push(order); if (orders.length > 4) bill(orders.shift()); };
    await turns([listener(add), listener(add), notAwaited(add)]);
  };
  shapes[`queue that consumers share, ${name}, cut`] = async () => {
    const put = queue(2);
    const work = (order) => { put(() => billLater(order)); };
    await turns([listener(work), notAwaited(work)]);
  };
  shapes[`batch that one consumer fills and another empties, ${name}, cut`] = async () => {
    const orders = [];
    await turns([listener((order) => { orders.push(order); }), listener(() => orders.splice(0).forEach(bill))]);
  };
  shapes[`batches side by side, ${name}, cut`] = async () => {
    const byKey = Array.from({ length: 16 }, () => batch(2, async (orders) => { for (const order of orders) { bill(order); await aWhile(); } }));
    await rounds(listener((order) => byKey[order.offset % 16](order)));
  };
  shapes[`batches side by side, the last one first, ${name}, cut`] = async () => {
    const bills = async (orders) => { for (const order of orders.reverse()) { await ask(); bill(order); } };
    const byKey = Array.from({ length: 16 }, () => batch(3, bills));
    await rounds(notAwaited((order) => byKey[order.offset % 16](order)));
  };
  shapes[`batch, and a file is read meanwhile, ${name}, cut`] = async () => {
    const add = batch(6);
    await rounds(listener(async (order) => { add(order); await readFile(); }));
  };
  shapes[`batch, and a file is read meanwhile, by a callback, ${name}, cut`] = async () => {
    const add = batch(6);
    await rounds(listener((order) => { fs.readFile(__filename, () => {}); add(order); }));
  };
  shapes[`queue of which the first task sends nothing, ${name}, cut`] = async () => {
    const put = queue(1);
    await rounds(listener((order) => { put(() => (order.offset % 5 === 0 ? aWhile() : billLater(order))); }));
  };
  shapes[`by itself or by a queue, ${name}, cut`] = async () => {
    const put = queue(1);
    await rounds(listener((order) => (order.offset % 3 === 0 ? billLater(order) : put(() => billLater(order)))));
  };
  shapes[`by itself or by a batch, ${name}, cut`] = async () => {
    const bills = async (orders) => { await ask(); for (const order of orders) bill(order); };
    const add = batch(4, bills);
    await rounds(listener((order) => (order.offset % 2 === 0 ? bills([order]) : add(order))));
  };
  shapes[`by itself or by a batch, at once, ${name}, cut`] = async () => {
    const bills = (orders) => { for (const order of orders) bill(order); };
    const add = batch(4, bills);
    await rounds(listener((order) => (order.offset % 3 === 0 ? bills([order]) : add(order))));
  };
  shapes[`batch in which messages wait, ${name}, and others beside it, cut`] = async () => {
    let items = [];
    const add = (order) => new Promise((done) => {
      items.push({ order, done });
      if (items.length < 5) return;
      const some = items;
      items = [];
      some.forEach((item) => { bill(item.order); item.done(); });
    });
    await rounds(listener((order) => (order.offset % 2 === 0 ? add(order) : ask())));
  };
}

module.exports = {
  ...shapes,
  /** A request to a server for each message, and then a batch. */
  async 'batch, after a request of its own, cut'() {
    const server = http.createServer((request, response) => response.end('yes')).listen(0, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address();
    const get = () => new Promise((done) => http.get({ port, agent: false }, (response) => response.resume().on('end', done)).on('error', done));
    const add = batch(4);
    await rounds(async (order) => { await get(); add(order); }, 3);
    server.close();
  },
  /** A message of another topic says when. */
  async 'batch that another topic empties, cut'() {
    const orders = [];
    consumer.on('data', (message) => {
      if (message.topic === 'orders') orders.push(message);
      else orders.splice(0).forEach(bill);
    });
    for (let round = 0; round < 20; round += 1) { give(1 + (round % 4)); give(1, 'ticks'); consumer.consume(); await sleep(1); }
  },
  async 'newest first, cut'() {
    const orders = [];
    let isBusy = false;
    await rounds((order) => {
      orders.push(order);
      if (isBusy) return;
      isBusy = true;
      aWhile().then(async () => { while (orders.length > 0) { bill(orders.pop()); await aWhile(); } isBusy = false; });
    });
  },
  /** Each consumer for itself, one of which sends nothing. */
  async 'consumers side by side'() {
    await turns([(order) => bill(order), async (order) => { await aWhile(); bill(order); }]);
  },
  async 'a consumer that sends, and one that does not'() {
    const sink = new KafkaConsumer().on('data', () => {});
    const source = new KafkaConsumer().on('data', (order) => bill(order));
    for (let round = 0; round < 20; round += 1) {
      for (const one of [source, sink]) { give(2, 'orders', one); one.consume(); await sleep(1); }
    }
  },
  async 'values that are passed on, while others lie still'() {
    await rounds(async (order) => { if (order.offset % 2 === 0) forward(order); else await ask(); });
  },
};
