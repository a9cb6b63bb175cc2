// As shapes.js, with the KafkaJS-like API of @confluentinc/kafka-javascript.
//
//     node kafkajs.js SHAPE COUNT
'use strict';

const { KafkaJS, RdKafka } = require('@confluentinc/kafka-javascript');

const [, , SHAPE, COUNT] = process.argv;
const count = Number(COUNT);
const plugin = process.env.PLUGIN ? { 'plugin.library.paths': process.env.PLUGIN } : {};
const common = { 'bootstrap.servers': process.env.KAFKA, log_level: 3, ...plugin };
const kafka = new KafkaJS.Kafka({});

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const aWhile = () => sleep(Math.random() * 20);

let billed;
const allBilled = new Promise((done) => {
  let left = count;
  billed = () => { left -= 1; if (left === 0) done(); };
});

let producer;

async function bill({ value }) {
  await aWhile();
  await producer.send({ topic: 'bills', messages: [{ value, partition: 0 }] });
  billed();
}

/** Runs a consumer until all are billed. */
async function consuming(config, more = {}) {
  const consumer = kafka.consumer({ ...common, 'group.id': 'billing', 'auto.offset.reset': 'earliest', ...more });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders' });
  await consumer.run(config);
  await allBilled;
  await consumer.disconnect();
}

const SHAPES = {
  eachMessage: () => consuming({ eachMessage: ({ message }) => bill(message) }),

  'eachMessage, concurrent': () => consuming({
    partitionsConsumedConcurrently: 4,
    eachMessage: async ({ message }) => { await aWhile(); await bill(message); },
  }),

  'eachMessage, not awaited': () => consuming({ eachMessage: async ({ message }) => { bill(message); } }),

  /** The first time for each that is even it fails. */
  'eachMessage, failing': () => {
    const seen = new Set();
    return consuming({
      eachMessage: async ({ message }) => {
        if (!seen.has(message.offset) && seen.size % 2 === 0) {
          seen.add(message.offset);
          throw new RangeError('not yet');
        }
        seen.add(message.offset);
        await bill(message);
      },
    });
  },

  'eachBatch, for of': () => consuming({
    eachBatch: async ({ batch }) => { for (const message of batch.messages) await bill(message); },
  }),

  'eachBatch, map': () => consuming({
    eachBatch: async ({ batch }) => { await Promise.all(batch.messages.map(bill)); },
  }),

  sendBatch: () => consuming({
    eachMessage: async ({ message: { value } }) => {
      await aWhile();
      await producer.sendBatch({ topicMessages: [
        { topic: 'drafts', messages: [{ value }] }, { topic: 'bills', messages: [{ value, partition: 0 }] },
      ] });
      billed();
    },
  }),

  async transaction() {
    const transacting = kafka.producer({ ...common, 'transactional.id': 'billing' });
    await transacting.connect();
    await consuming({
      eachMessage: async ({ message: { value } }) => {
        const transaction = await transacting.transaction();
        await aWhile();
        await transaction.send({ topic: 'bills', messages: [{ value, partition: 0 }] });
        await transaction.commit();
        billed();
      },
    });
    await transacting.disconnect();
  },

  async RdKafka() {
    const consumer = new RdKafka.KafkaConsumer({ ...common, 'group.id': 'billing' }, { 'auto.offset.reset': 'earliest' });
    await new Promise((done) => consumer.once('ready', done).connect());
    consumer.subscribe(['orders']);
    consumer.on('data', bill).consume();
    await allBilled;
    await new Promise((done) => consumer.once('disconnected', done).disconnect());
  },
};

/** Reads the bills, and counts those in the trace of their order. */
async function check() {
  const reader = kafka.consumer({ ...common, 'group.id': 'checking', 'auto.offset.reset': 'earliest' });
  await reader.connect();
  await reader.subscribe({ topic: 'bills' });
  let right = 0;
  let seen = 0;
  await new Promise((done) => reader.run({
    eachMessage: async ({ message: { value, headers } }) => {
      seen += 1;
      if (Number(String(headers.traceparent).split('-')[1].slice(-8)) === Number(value)) right += 1;
      if (seen === count) done();
    },
  }));
  await reader.disconnect();
  return right;
}

async function main() {
  producer = kafka.producer({ ...common, 'linger.ms': 1 });
  await producer.connect();
  await producer.send({ topic: 'orders', messages: Array.from({ length: count }, (_, order) => ({
    value: String(order),
    partition: order % 2,
    headers: { traceparent: `00-${'a'.repeat(24)}${String(order).padStart(8, '0')}-${'b'.repeat(16)}-01` },
  })) });
  await SHAPES[SHAPE]();
  console.log(`${await check()} of ${count}`);
  await producer.disconnect();
}

if (SHAPE === undefined) console.log(Object.keys(SHAPES).join('\n'));
else main().catch((error) => { console.error(error); process.exit(1); });
