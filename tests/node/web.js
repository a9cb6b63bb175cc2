// A web shop whose own spans are OpenTelemetry's: an order comes by HTTP, is sent, consumed, written down, and billed.
//
//     node web.js express|fastify [kafkajs]
//
// by node-rdkafka, or by the KafkaJS-like API of @confluentinc/kafka-javascript.
'use strict';

const { context, propagation, trace } = require('@opentelemetry/api');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { registerInstrumentations } = require('@opentelemetry/instrumentation');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node');

const exporter = new OTLPTraceExporter({ url: `${process.env.COLLECTOR}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'web' }),
  spanProcessors: [new SimpleSpanProcessor(exporter)],
});
provider.register();
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] });

const http = require('http');

const ORDERS = 3;
const tracer = trace.getTracer('shop');
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** As an instrumented database client does. */
const insert = (order) => tracer.startActiveSpan('INSERT orders', async (span) => {
  await sleep(5);
  span.end();
  return order;
});

/** Each calls `taken` with the number of an order. */
const SERVERS = {
  async express(taken) {
    const app = require('express')();
    app.post('/orders/:number', async (request, response) => {
      await taken(request.params.number);
      response.status(202).end();
    });
    const server = await new Promise((done) => { const made = app.listen(0, '127.0.0.1', () => done(made)); });
    return { server, close: () => server.close() };
  },

  async fastify(taken) {
    const app = require('fastify')();
    app.post('/orders/:number', async (request, reply) => {
      await taken(request.params.number);
      return reply.code(202).send();
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return { server: app.server, close: () => app.close() };
  },
};

/** Each gives `send`, and calls `handle` with the value and the headers of an order until `over` is called. */
const CLIENTS = {
  async 'node-rdkafka'(handle) {
    const clients = require('./clients');
    const producer = await clients.producer({});
    const consumer = await clients.consumer('billing', 'orders', 1);
    consumer.on('data', async ({ value, headers }) => { await handle(value, headers); });
    consumer.consume();
    return {
      send: (topic, value, headers) => producer.produce(topic, 0, value, null, null, null, headers && [].concat(headers)),
      async over() {
        await clients.flushed(producer);
        await Promise.all([clients.disconnected(producer), clients.disconnected(consumer)]);
      },
    };
  },

  async kafkajs(handle) {
    const { KafkaJS } = require('@confluentinc/kafka-javascript');
    const common = { 'bootstrap.servers': process.env.KAFKA, log_level: 3 };
    const kafka = new KafkaJS.Kafka({});
    const producer = kafka.producer({ ...common, 'linger.ms': 1 });
    await producer.connect();
    const consumer = kafka.consumer({ ...common, 'group.id': 'billing', 'auto.offset.reset': 'earliest' });
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders' });
    await consumer.run({ eachMessage: ({ message: { value, headers } }) => handle(value, headers) });
    return {
      send: (topic, value, headers) => producer.send({ topic, messages: [{ value, headers, partition: 0 }] }),
      async over() {
        await consumer.disconnect();
        await producer.disconnect();
      },
    };
  },
};

async function main() {
  let left = ORDERS;
  let done;
  const allBilled = new Promise((resolve) => { done = resolve; });
  const client = await CLIENTS[process.argv[3] || 'node-rdkafka'](async (order, headers) => {
    await insert(order);
    await tracer.startActiveSpan('make bill', async (span) => {
      await sleep(5);
      // What a program puts into the headers itself is the same.
      const carrier = {};
      propagation.inject(context.active(), carrier);
      await client.send('bills', order, Number(order) === 1 ? carrier : headers);
      span.end();
    });
    left -= 1;
    if (left === 0) done();
  });

  const taken = async (number) => {
    await sleep(2);
    await client.send('orders', Buffer.from(number));
  };
  const { server, close } = await SERVERS[process.argv[2]](taken);
  for (let number = 0; number < ORDERS; number += 1) {
    await new Promise((done, failed) => {
      const { port } = server.address();
      const request = http.request({ port, host: '127.0.0.1', path: `/orders/${number}`, method: 'POST', agent: false });
      request.on('response', (response) => response.resume().on('end', done)).on('error', failed).end();
    });
  }
  await allBilled;
  await close();
  await client.over();
  await provider.shutdown();
}

main().catch((error) => { console.error(error); process.exit(1); });
