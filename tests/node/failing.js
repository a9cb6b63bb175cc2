// Processings that fail, in each way that can be seen, and others that the program says itself; and sends that come after
// them, or are refused.
//
//     node failing.js
'use strict';

const assert = require('assert');
const clients = require('./clients');
const { currentContext, processing } = require('../../resolver/librdkafka/npm');

class CardDeclined extends Error {
  get name() { return 'CardDeclined'; }
}

const rejected = new Promise((done) => {
  process.on('unhandledRejection', (error) => done(error.message));
  process.on('uncaughtException', (error) => assert.strictEqual(error.message, 'order 1'));
});

async function main() {
  const producer = await clients.producer({});
  for (let order = 0; order < 4; order += 1) producer.produce('orders', 0, Buffer.from(String(order)));
  await clients.flushed(producer);
  const consumer = await clients.consumer('billing', 'orders', 1);
  let rest = [];
  const all = new Promise((done) => {
    consumer.on('data', async (order) => {
      if (String(order.value) !== '0') return;
      await null;
      throw new CardDeclined('order 0');
    });
    consumer.on('data', (order) => {
      if (String(order.value) === '1') throw new CardDeclined('order 1');
      if (Number(order.value) > 1) rest.push(order);
      if (rest.length === 2) done();
    });
  });
  consumer.consume();
  await all;
  // A listener's rejected promise is the program's business, as without the layer.
  assert.strictEqual(await rejected, 'order 0');
  assert.strictEqual(currentContext(), undefined);
  await assert.rejects(processing(rest[0], async () => {
    assert.match(currentContext(), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    await new Promise((done) => setTimeout(done, 20));
    throw new CardDeclined('order 2');
  }), CardDeclined);
  let later;
  const { now } = Date;
  assert.strictEqual(processing(rest[1], () => {
    later = new Promise((done) => setTimeout(done, 10)).then(() => {
      // The system's clock is set.
      Date.now = () => now() + 3600000;
      producer.produce('later', 0, null);
      Date.now = now;
    });
    assert.throws(() => producer.produce('', 0, null), TypeError);
    return 7;
  }), 7);
  producer.produce('audits', 0, null);
  await later;
  producer.produce('audits', 0, null);
  // Not ten seconds after its end.
  const passed = performance.now.bind(performance);
  await processing(rest[1], () => {
    later = new Promise((done) => setTimeout(done, 10)).then(() => {
      performance.now = () => passed() + 11000;
      producer.produce('much.later', 0, null);
      performance.now = passed;
    });
  });
  await later;
  assert.strictEqual(currentContext(), undefined);
  await Promise.all([consumer, producer].map(clients.disconnected));
}

main().catch((error) => { console.error(error); process.exit(1); });
