// Clients of the tests' cluster, from node-rdkafka or the package CLIENT. `PLUGIN`, where it is set, is their one property that has to
// do with tracing.
'use strict';

const kafka = require(process.env.CLIENT || 'node-rdkafka');

/** The properties of every client, and these. */
function properties(more) {
  const plugin = process.env.PLUGIN ? { 'plugin.library.paths': process.env.PLUGIN } : {};
  return { 'bootstrap.servers': process.env.KAFKA, ...plugin, ...more };
}

/** Those of a consumer. */
function consumerProperties(group) {
  return properties({ 'group.id': group, 'enable.auto.commit': false });
}

/** A connected producer. */
function producer(more) {
  return ready(new kafka.Producer(properties({ 'linger.ms': 1, ...more })));
}

/** A connected consumer of the partitions 0 to `partitions` - 1 of a topic, from the oldest message on. */
async function consumer(group, topic, partitions) {
  const client = await ready(new kafka.KafkaConsumer(consumerProperties(group), {}));
  client.assign(Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: 0 })));
  return client;
}

/** Waits until nothing is in flight. */
function flushed(client) {
  return new Promise((done, failed) => client.flush(20000, (error) => (error ? failed(error) : done())));
}

/** Waits until the client is gone. */
function disconnected(client) {
  return new Promise((done) => client.once('disconnected', done).disconnect());
}

function ready(client) {
  return new Promise((done, failed) => {
    client.on('event.error', failed);
    client.once('ready', () => done(client)).connect({ timeout: 20000 }, (error) => error && failed(error));
  });
}

module.exports = { kafka, properties, consumerProperties, producer, consumer, flushed, disconnected };
