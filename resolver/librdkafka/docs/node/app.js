const { KafkaConsumer, Producer } = require('node-rdkafka');

const kafka = { 'metadata.broker.list': process.env.KAFKA };
const producer = new Producer(kafka);
const consumer = new KafkaConsumer({ ...kafka, 'group.id': 'payments' }, { 'auto.offset.reset': 'earliest' });
const charge = () => new Promise((done) => setTimeout(done, 30));

producer.on('ready', () => {
  producer.produce('orders', null, Buffer.from('order 1'));
  consumer.connect();
});
consumer.on('ready', () => {
  consumer.subscribe(['orders']);
  consumer.consume();
});
consumer.on('data', async (order) => {
  await charge(order);
  producer.produce('payments', null, Buffer.from(`paid: ${order.value}`));
  producer.flush(10000, () => producer.disconnect(() => consumer.disconnect()));
});
producer.connect();
