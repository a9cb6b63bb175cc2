// Sends and consumes many messages, and says how the memory of the process grew from the first third to the end.
//
//     node --expose-gc many.js MESSAGES PARTITIONS
'use strict';

const clients = require('./clients');

const CHUNK = 10000;

function residentMebibytes() {
  global.gc();
  return process.memoryUsage().rss / 1024 / 1024;
}

async function main(messages, partitions) {
  const producer = await clients.producer({ 'queue.buffering.max.messages': 2 * CHUNK });
  const consumer = await clients.consumer('many', 'many', partitions);
  let received = 0;
  let wake = () => {};
  consumer.on('data', () => {
    received += 1;
    wake();
  });
  consumer.consume();
  let atAThird = 0;
  for (let sent = 0; sent < messages; sent += CHUNK) {
    for (let number = sent; number < sent + CHUNK; number += 1) {
      producer.produce('many', number % partitions, Buffer.from(`message ${number}`));
    }
    await clients.flushed(producer);
    while (received < sent + CHUNK) await new Promise((done) => { wake = done; });
    if (atAThird === 0 && sent + CHUNK >= messages / 3) atAThird = residentMebibytes();
  }
  const grown = residentMebibytes() - atAThird;
  await Promise.all([clients.disconnected(producer), clients.disconnected(consumer)]);
  console.log(JSON.stringify({ received, grown: Math.round(grown) }));
}

main(Number(process.argv[2]), Number(process.argv[3])).catch((error) => {
  console.error(error);
  process.exit(1);
});
