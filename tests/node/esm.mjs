// An ES module: bills each order, in lists and by events. To be copied beside its `node_modules`.
import { once } from 'node:events';
import kafka from 'node-rdkafka';

const ORDERS = 6;
const common = { 'bootstrap.servers': process.env.KAFKA };
const sleep = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });

const producer = new kafka.Producer({ ...common, 'linger.ms': 1 });
producer.connect();
await once(producer, 'ready');
for (let order = 0; order < ORDERS; order += 1) producer.produce('orders', 0, Buffer.from(String(order)));
await new Promise((done) => { producer.flush(20000, done); });

const consumer = new kafka.KafkaConsumer({ ...common, 'group.id': 'billing', 'enable.auto.commit': false }, {});
consumer.connect();
await once(consumer, 'ready');
consumer.assign([{ topic: 'orders', partition: 0, offset: 0 }]);
consumer.setDefaultConsumeTimeout(100);
let left = ORDERS;
const bill = async (order) => {
  await sleep(2);
  producer.produce('bills', 0, order.value);
  left -= 1;
};
while (left > ORDERS / 2) {
  const orders = await new Promise((done, failed) => {
    consumer.consume(1, (error, messages) => (error ? failed(error) : done(messages)));
  });
  for (const order of orders) await bill(order);
}
consumer.on('data', bill).consume();
while (left > 0) await sleep(5);
await new Promise((done) => { producer.flush(20000, done); });
await Promise.all([consumer, producer].map((client) => new Promise((done) => {
  client.once('disconnected', done).disconnect();
})));
