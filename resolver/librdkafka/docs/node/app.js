const { KafkaConsumer, Producer } = require('node-rdkafka');

const kafka = { 'metadata.broker.list': process.env.KAFKA };
const producer = new Producer(kafka);
const consumer = new KafkaConsumer({ ...kafka, 'group.id': 'payments' }, { 'auto.offset.reset': 'earliest' });

producer.on('ready', () => {
  producer.produce('orders', null, Buffer.from('order 1'));
  consumer.connect();
});
consumer.on('ready', () => {
  consumer.subscribe(['orders']);
  consumer.consume();
});
consumer.on('data', (order) => {
  producer.produce('payments', null, Buffer.from(`paid: ${order.value}`), null, null, null, order.headers);
  producer.flush(10000, () => producer.disconnect(() => consumer.disconnect()));
});
producer.connect();
