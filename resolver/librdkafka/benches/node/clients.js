// The programs whose messages cost something. Each sends on what it consumes, and knows nothing of tracing.
'use strict';

const common = { 'bootstrap.servers': process.env.KAFKA };
const reading = { 'group.id': 'bench', 'enable.auto.commit': false, 'auto.offset.reset': 'earliest' };
const PARTITIONS = 16;

async function nodeRdkafka(count, handle, started, done) {
  const { KafkaConsumer, Producer } = require('node-rdkafka');
  const producer = new Producer({ ...common, 'queue.buffering.max.messages': 10 * count });
  await new Promise((ready) => producer.once('ready', ready).connect());
  const consumer = new KafkaConsumer({ ...common, ...reading }, {});
  await new Promise((ready) => consumer.once('ready', ready).connect());
  consumer.assign(Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'orders', partition, offset: 0 })));
  const send = ({ value }) => { producer.produce('bills', null, value); };
  const over = new Promise((all) => {
    let left = count;
    handle(consumer, send, () => {
      if (left === count) started();
      left -= 1;
      if (left === 0) all();
    });
  });
  if (consumer.listenerCount('data') > 0) consumer.consume();
  await over;
  await new Promise((flushed, failed) => producer.flush(60000, (error) => (error ? failed(error) : flushed())));
  done();
  await new Promise((gone) => consumer.once('disconnected', gone).disconnect());
  await new Promise((gone) => producer.once('disconnected', gone).disconnect());
}

async function kafkaJavascript(count, batched, started, done) {
  const { KafkaJS } = require('@confluentinc/kafka-javascript');
  const kafka = new KafkaJS.Kafka({});
  const producer = kafka.producer({ ...common, log_level: 3, 'linger.ms': 0 });
  await producer.connect();
  const consumer = kafka.consumer({ ...common, ...reading, log_level: 3 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders' });
  const send = ({ value }) => producer.send({ topic: 'bills', messages: [{ value }] });
  const over = new Promise((all) => {
    let left = count;
    const next = () => { left -= 1; if (left === 0) all(); };
    const each = async ({ message }) => {
      if (left === count) started();
      await send(message);
      next();
    };
    const batch = async ({ batch: { messages } }) => {
      if (left === count) started();
      for (const message of messages) { await send(message); next(); }
    };
    consumer.run({ partitionsConsumedConcurrently: PARTITIONS, ...(batched ? { eachBatch: batch } : { eachMessage: each }) });
  });
  await over;
  done();
  await consumer.disconnect();
  await producer.disconnect();
}

/** What a program does with a message; `next` is called when it has. */
module.exports = {
  'node-rdkafka, a listener': (count, ...told) => nodeRdkafka(count, (consumer, send, next) => {
    consumer.on('data', (message) => { send(message); next(); });
  }, ...told),
  'node-rdkafka, an async listener that waits': (count, ...told) => nodeRdkafka(count, (consumer, send, next) => {
    consumer.on('data', async (message) => { await null; send(message); next(); });
  }, ...told),
  'node-rdkafka, an async listener with a timer': (count, ...told) => nodeRdkafka(count, (consumer, send, next) => {
    const later = () => new Promise((done) => setTimeout(done, 1));
    consumer.on('data', async (message) => { await later(); send(message); next(); });
  }, ...told),
  'node-rdkafka, lists': (count, ...told) => nodeRdkafka(count, async (consumer, send, next) => {
    for (let left = count; left > 0;) {
      const messages = await new Promise((done, failed) => {
        consumer.consume(500, (error, some) => (error ? failed(error) : done(some)));
      });
      for (const message of messages) { send(message); next(); }
      left -= messages.length;
    }
  }, ...told),
  'kafka-javascript, eachMessage': (count, ...told) => kafkaJavascript(count, false, ...told),
  'kafka-javascript, eachBatch': (count, ...told) => kafkaJavascript(count, true, ...told),
};
