// Sends what the programs consume. It is not traced.
//
//     node fill.js COUNT
'use strict';

const { Producer } = require('node-rdkafka');

const count = Number(process.argv[2]);
const producer = new Producer({ 'bootstrap.servers': process.env.KAFKA, 'queue.buffering.max.messages': count + 1, dr_cb: true });
producer.on('delivery-report', (error) => { if (error) throw error; });
producer.setPollInterval(50);
producer.once('ready', () => {
  const value = Buffer.alloc(100, 'x');
  for (let sent = 0; sent < count; sent += 1) producer.produce('orders', sent % 16, value);
  producer.flush(60000, (error) => {
    if (error) throw error;
    producer.disconnect();
  });
}).connect();
