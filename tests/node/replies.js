// Six requests, each of which waits for the answer to the one before; the server of them is in the same process.
//
//     node replies.js
'use strict';

const clients = require('./clients');

async function main() {
  const producer = await clients.producer({});
  const server = await clients.consumer('server', 'requests', 1);
  server.on('data', (request) => {
    producer.produce('replies', 0, request.value, null, null, null, request.headers);
  }).consume();
  const replies = await clients.consumer('client', 'replies', 1);
  let answered;
  replies.on('data', (reply) => answered(reply)).consume();
  for (let request = 0; request < 6; request += 1) {
    const answer = new Promise((done) => { answered = done; });
    producer.produce('requests', 0, Buffer.from(String(request)));
    await answer;
  }
  await Promise.all([server, replies, producer].map(clients.disconnected));
}

main().catch((error) => { console.error(error); process.exit(1); });
