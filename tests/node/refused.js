// Sends that are refused at once: where there is room for two bills a third one, until it is taken, `alone` or for each of three orders;
// and one that is too large. Says what the program is told.
//
//     CLIENT=node-rdkafka node refused.js alone|follows
'use strict';

const clients = require('./clients');

const [, , HOW] = process.argv;
const ORDERS = 3;
const SMALL = { 'queue.buffering.max.messages': 2, 'linger.ms': 60000 };

/** What it was told of a send: of one that is under way, when it is over. */
async function told(send) {
  try {
    await send();
    return 'taken';
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
}

async function nodeRdkafka() {
  const producer = await clients.producer(SMALL);
  const send = (value, key, partition = 0) => told(() => { producer.produce('bills', partition, value, key); });
  const eachOrder = async (work) => {
    const consumer = await clients.consumer('billing', 'orders', 1);
    for (let left = ORDERS; left > 0;) {
      await new Promise((done, failed) => {
        consumer.consume(1, (error, orders) => {
          if (error) return failed(error);
          left -= orders.length;
          return orders.length === 0 ? done() : work().then(done, failed);
        });
      });
    }
    await clients.disconnected(consumer);
  };
  const again = async () => {
    await clients.disconnected(producer);
    await new Promise((ready) => producer.once('ready', ready).connect());
  };
  return { send, eachOrder, again, flush: () => clients.flushed(producer), end: () => clients.disconnected(producer) };
}

async function kafkajs() {
  const kafka = new clients.kafka.KafkaJS.Kafka({});
  const make = async () => {
    const made = kafka.producer({ ...clients.properties(SMALL), log_level: 3 });
    await made.connect();
    return made;
  };
  let producer = await make();
  const send = (value, key, partition = 0) => told(() => producer.send({ topic: 'bills', messages: [{ value, key, partition }] }));
  const eachOrder = async (work) => {
    const consumer = kafka.consumer({ ...clients.consumerProperties('billing'), 'auto.offset.reset': 'earliest', log_level: 3 });
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders' });
    let left = ORDERS;
    await new Promise((done) => {
      consumer.run({ eachMessage: async () => {
        await work();
        left -= 1;
        if (left === 0) done();
      } });
    });
    await consumer.disconnect();
  };
  const again = async () => {
    await producer.disconnect();
    producer = await make();
  };
  return { send, eachOrder, again, flush: () => producer.flush({ timeout: 20000 }), end: () => producer.disconnect() };
}

async function main() {
  const { send, eachOrder, again, flush, end } = await (process.env.CLIENT === 'node-rdkafka' ? nodeRdkafka() : kafkajs());
  const say = async (...sends) => {
    await flush();
    console.log((await Promise.all(sends)).join(', '));
  };
  const untilTaken = async () => {
    await say(send(Buffer.from('1')), send(Buffer.from('2')), send(Buffer.from('3')), send(null, 'key'));
    await say(send(Buffer.from('3')));
  };
  if (HOW === 'follows') {
    await say(send(Buffer.from('first')));
    await eachOrder(untilTaken);
  } else {
    const tooLarge = () => send(Buffer.alloc(2000000));
    // It has sent nothing yet, so it is not known.
    await say(tooLarge());
    await untilTaken();
    await say(tooLarge());
    // For a partition that is not there the interceptors are called.
    await say(send(Buffer.from('elsewhere'), undefined, 77));
    await again();
    await untilTaken();
  }
  await end();
}

main().catch((error) => { console.error(error); process.exit(1); });
