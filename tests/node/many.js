// Sends and consumes rounds of messages, and says how much memory is resident after each: see tests/words/foreign/rounds.rs.
//
//     node --expose-gc many.js PARTITIONS
'use strict';

const fs = require('fs');
const clients = require('./clients');

const ROUNDS = 5;
const ROUND = 20000;

function residentKibibytes() {
  global.gc();
  return Math.round(process.memoryUsage().rss / 1024);
}

async function main(partitions) {
  const producer = await clients.producer({ 'queue.buffering.max.messages': 2 * ROUND });
  const consumer = await clients.consumer('many', 'many', partitions);
  let received = 0;
  consumer.on('data', () => { received += 1; });
  consumer.consume();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let number = 0; number < ROUND; number += 1) {
      producer.produce('many', number % partitions, Buffer.from(`message ${number}`));
    }
    await clients.flushed(producer);
    await until(() => received === (round + 1) * ROUND);
    await until(() => fs.existsSync(`${process.env.ROUND_DONE}${round}`));
    console.log(residentKibibytes());
  }
  await Promise.all([clients.disconnected(producer), clients.disconnected(consumer)]);
}

async function until(condition) {
  while (!condition()) await new Promise((done) => setTimeout(done, 10));
}

main(Number(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
