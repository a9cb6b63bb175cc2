// Programs of different shapes, in each of which every order leads to one bill; then says of how many it did.
//
//     node shapes.js SHAPE COUNT
//
// An order's trace id ends with its number, so a bill tells whether its context is that of its own order.
'use strict';

const assert = require('assert');
const Module = require('module');
const { Transform, Writable, pipeline } = require('stream');
const clients = require('./clients');
const { kafka } = clients;

const [, , SHAPE, COUNT] = process.argv;
const count = Number(COUNT);

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const aWhile = () => sleep(Math.random() * 20);
/** After a loop over messages the code is at work on none of them. */
function nothingIsCurrent() {
  const layer = Module[Symbol.for('tracer-interceptors.installed')];
  if (layer && process.env.DEFECT === undefined) assert.strictEqual(layer.currentContext(), undefined);
}

const settings = () => [clients.consumerProperties('billing'), { 'auto.offset.reset': 'earliest' }];

/** Waits until every order was billed. */
let billed;
const allBilled = new Promise((done) => {
  let left = count;
  billed = () => { left -= 1; if (left === 0) done(); };
});

let producer;

function bill(order) {
  producer.produce('bills', 0, order.value);
  billed();
}

async function billLater(order) {
  await aWhile();
  bill(order);
}

async function consumer() {
  const client = await clients.consumer('billing', 'orders', 1);
  client.setDefaultConsumeTimeout(100);
  return { client, end: () => clients.disconnected(client) };
}

function stream(options) {
  const made = kafka.KafkaConsumer.createReadStream(...settings(), { topics: 'orders', waitInterval: 10, ...options });
  return { stream: made, end: () => new Promise((done) => made.close(done)) };
}

const take = (client, number) => new Promise((done, failed) => {
  client.consume(number, (error, messages) => (error ? failed(error) : done(messages)));
});

/** Goes on with `work` for lists of orders until all are billed. */
async function lists(number, work) {
  const { client, end } = await consumer();
  let wanted = true;
  const loop = (async () => { while (wanted) await work(await take(client, number)); })();
  await allBilled;
  wanted = false;
  await loop;
  return end();
}

const SHAPES = {
  async events() {
    const { client, end } = await consumer();
    client.on('data', billLater).consume();
    await allBilled;
    return end();
  },

  /** Nobody waits for what the listener begins. */
  async 'events, not awaited'() {
    const { client, end } = await consumer();
    client.on('data', (order) => { billLater(order); }).consume();
    await allBilled;
    return end();
  },

  async callback() {
    const { client, end } = await consumer();
    client.consume((error, order) => { if (!error) billLater(order); });
    await allBilled;
    return end();
  },

  /** Each asks for the next one, from within. */
  async 'single, chained'() {
    const { client, end } = await consumer();
    let over = false;
    const next = () => client.consume(1, (error, [order]) => {
      if (order) setTimeout(() => bill(order), Math.random() * 20);
      if (!over) next();
    });
    next();
    await allBilled;
    over = true;
    await sleep(300);
    return end();
  },

  single: () => lists(1, async (orders) => { for (const order of orders) await billLater(order); }),

  'for of': () => lists(7, async (orders) => {
    for (const order of orders) await billLater(order);
    nothingIsCurrent();
  }),

  /** The first messages are handed over when they have lain in the client for long. */
  async 'for of, late'() {
    let isLate = true;
    const { client, end } = await consumer();
    let left = count;
    while (left > 0) {
      const taking = take(client, 7);
      for (const until = Date.now() + 3000; isLate && Date.now() < until;);
      const orders = await taking;
      if (orders.length > 0) isLate = false;
      left -= orders.length;
      for (const order of orders) await billLater(order);
    }
    return end();
  },

  'for of, not awaited': () => lists(7, (orders) => {
    for (const order of orders) billLater(order);
    nothingIsCurrent();
    const [first] = orders.slice();
    assert(first === orders[0]);
    nothingIsCurrent();
  }),

  map: () => lists(7, (orders) => Promise.all(orders.map((order) => billLater(order)))),

  forEach: () => lists(7, (orders) => orders.forEach(billLater)),

  /** Taken by index: the helper says which it is. */
  helper: () => lists(7, async (orders) => {
    const { processing } = require('../../resolver/librdkafka/npm');
    for (let at = 0; at < orders.length; at += 1) await processing(orders[at], () => billLater(orders[at]));
  }),

  async 'stream, data'() {
    const { stream: orders, end } = stream({ objectMode: true });
    orders.on('data', billLater);
    await allBilled;
    return end();
  },

  async 'stream, values'() {
    const { stream: orders, end } = stream({ objectMode: false });
    orders.on('data', async (value) => { await aWhile(); bill({ value }); });
    await allBilled;
    return end();
  },

  async 'stream, lists'() {
    const { stream: orders, end } = stream({ objectMode: true, streamAsBatch: true, fetchSize: 7 });
    orders.on('data', (some) => { for (const order of some) billLater(order); });
    await allBilled;
    return end();
  },

  async 'stream, for await'() {
    const { stream: orders } = stream({ objectMode: true });
    let left = count;
    for await (const order of orders) {
      await billLater(order);
      left -= 1;
      if (left === 0) break;
    }
    nothingIsCurrent();
  },

  /** What is written waits in two streams, and is sent from a third. */
  async pipe() {
    const { stream: orders, end } = stream({ objectMode: true });
    const bills = new Transform({
      objectMode: true,
      transform(order, encoding, done) {
        setTimeout(() => done(null, { topic: 'bills', partition: 0, value: order.value }), Math.random() * 5);
      },
    });
    const out = kafka.Producer.createWriteStream(clients.properties({}), {}, { objectMode: true, pollInterval: 10 });
    orders.pipe(bills).pipe(out);
    const closed = new Promise((done) => out.once('close', done));
    await check();
    await end();
    return closed;
  },

  async pipeline() {
    const { stream: orders, end } = stream({ objectMode: true });
    const sink = new Writable({
      objectMode: true,
      highWaterMark: 4,
      write(order, encoding, done) { billLater(order).then(() => done(), done); },
    });
    pipeline(orders, sink, () => {});
    await allBilled;
    return end();
  },

  /** What is written before the producer is connected waits in the stream. */
  async 'write stream'() {
    const out = kafka.Producer.createWriteStream(clients.properties({}), {}, { objectMode: true, pollInterval: 10 });
    const { client, end } = await consumer();
    client.on('data', async (order) => {
      await aWhile();
      out.write({ topic: 'bills', partition: 0, value: order.value });
      billed();
    }).consume();
    await allBilled;
    await end();
    return new Promise((done) => out.once('close', done).end());
  },

  async 'high level'() {
    const client = new kafka.HighLevelProducer(clients.properties({ 'linger.ms': 1 }));
    client.setValueSerializer(async (value) => { await aWhile(); return value; });
    await new Promise((done) => client.once('ready', done).connect());
    const { client: orders, end } = await consumer();
    orders.on('data', (order) => {
      client.produce('drafts', 0, order.value, null, null, () => {
        client.produce('bills', 0, order.value, null, null, () => billed());
      });
    }).consume();
    await allBilled;
    await end();
    return clients.disconnected(client);
  },
};

let checked;

/** Reads the bills, and counts those in the trace of their order. */
function check() {
  checked = checked || (async () => {
    const reader = await clients.consumer('checking', 'bills', 1);
    let right = 0;
    let seen = 0;
    await new Promise((done) => reader.on('data', (found) => {
      const header = (found.headers || []).find((some) => some.traceparent);
      seen += 1;
      if (Number(String(header.traceparent).split('-')[1].slice(-8)) === Number(found.value)) right += 1;
      if (seen === count) done();
    }).consume());
    await clients.disconnected(reader);
    return right;
  })();
  return checked;
}

async function main() {
  producer = await clients.producer({ 'queue.buffering.max.messages': 1000000 });
  for (let order = 0; order < count; order += 1) {
    const number = String(order).padStart(8, '0');
    const headers = [{ traceparent: `00-${'a'.repeat(24)}${number}-${'b'.repeat(16)}-01` }];
    producer.produce('orders', 0, Buffer.from(String(order)), null, null, null, headers);
  }
  await clients.flushed(producer);
  await SHAPES[SHAPE]();
  await clients.flushed(producer);
  console.log(`${await check()} of ${count}`);
  await clients.disconnected(producer);
}

if (SHAPE === undefined) console.log(Object.keys(SHAPES).filter((name) => !name.endsWith('late')).join('\n'));
else main().catch((error) => { console.error(error); process.exit(1); });
