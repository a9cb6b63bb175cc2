// Two services in one process: `front` sends orders and consumes payments, `back` makes the ones from the others and passes
// their headers on.
//
//     node flow.js flowing|single|stream disconnect|exit
//
// `flowing` consumes in a thread of the client's, `single` asks for each message, `stream` uses Node's streams.
'use strict';

const clients = require('./clients');
const { kafka } = clients;

const ORDERS = 3;

/** Calls `take` with every message of a topic. Returns what ends it. */
async function eachMessage(api, group, topic, take) {
  if (api === 'stream') {
    const stream = kafka.KafkaConsumer.createReadStream(
      clients.consumerProperties(group), { 'auto.offset.reset': 'earliest' }, { topics: [topic], waitInterval: 10 });
    stream.on('data', take);
    return () => new Promise((done) => stream.close(done));
  }
  const client = await clients.consumer(group, topic, 1);
  if (api === 'flowing') {
    client.on('data', take).consume();
    return () => clients.disconnected(client);
  }
  client.setDefaultConsumeTimeout(100);
  let wanted = true;
  const loop = (async () => {
    while (wanted) {
      await new Promise((done, failed) => client.consume(1, (error, messages) => {
        if (error) return failed(error);
        messages.forEach(take);
        done();
      }));
    }
  })();
  return async () => {
    wanted = false;
    await loop;
    await clients.disconnected(client);
  };
}

/** Returns what sends a message, what waits for the acknowledgements, and what ends it. */
async function sender(api) {
  if (api === 'stream') {
    const stream = kafka.Producer.createWriteStream(clients.properties({}), {}, { objectMode: true, pollInterval: 10 });
    return {
      send: (topic, value, headers) => stream.write({ topic, value, headers }),
      flushed: () => clients.flushed(stream.producer),
      end: () => new Promise((done) => stream.once('close', done).end()),
    };
  }
  const client = await clients.producer({});
  return {
    send: (topic, value, headers) => client.produce(topic, null, value, null, null, null, headers),
    flushed: () => clients.flushed(client),
    end: () => clients.disconnected(client),
  };
}

async function main(api, ending) {
  const front = await sender(api);
  const back = await sender(api);
  const endBack = await eachMessage(api, 'back', 'orders', (order) => {
    back.send('payments', Buffer.from(`paid: ${order.value}`), order.headers);
  });
  const payments = [];
  let allPaid;
  const paid = new Promise((done) => { allPaid = done; });
  const endFront = await eachMessage(api, 'front', 'payments', (payment) => {
    payments.push(payment.value.toString());
    if (payments.length === ORDERS) allPaid();
  });
  for (let order = 0; order < ORDERS; order += 1) {
    front.send('orders', Buffer.from(`order ${order}`));
  }
  await paid;
  await Promise.all([front.flushed(), back.flushed()]);
  console.log(payments.join('\n'));
  if (ending === 'exit') process.exit(0);
  await Promise.all([front.end(), back.end(), endBack(), endFront()]);
}

main(process.argv[2], process.argv[3]).catch((error) => {
  console.error(error);
  process.exit(1);
});
