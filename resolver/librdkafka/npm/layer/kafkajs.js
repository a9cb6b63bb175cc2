// The KafkaJS-like API of @confluentinc/kafka-javascript. What it sends goes through `RdKafka`, on the caller's own path.
'use strict';

const lists = require('./lists');
const { NONE, OURS, processingOf, runIn, runLazilyIn, setProcessing, settled } = require('./processing');
const { inPlaceOf } = require('./stand_in');
const { followValues } = require('./streams');
const { guarded, tell } = require('./tell');

const patched = new WeakSet();

/** `fed` is told of the consumers whose messages go to `eachMessage` and `eachBatch`. */
function patchKafkaJS({ Kafka }, fed) {
  const { consumer } = Kafka.prototype;
  Kafka.prototype.consumer = inPlaceOf(consumer, function madeConsumer(...settings) {
    const made = consumer.apply(this, settings);
    guarded(() => {
      const owner = Object.getPrototypeOf(made);
      if (patched.has(owner)) return;
      patched.add(owner);
      if (typeof owner.run !== 'function' || typeof owner._getInternalClient !== 'function') {
        tell('@confluentinc/kafka-javascript has another Consumer than expected: causes are not known to eachMessage');
        return;
      }
      owner.run = inPlaceOf(owner.run, run(owner.run, fed));
    });
    return made;
  });
}

/** run({ eachMessage, eachBatch, … }) */
function run(original, fed) {
  return function run(config, ...others) {
    const followed = guarded(() => {
      const client = this._getInternalClient();
      if (!client || typeof config !== 'object' || config === null) return config;
      fed.add(client);
      return withFollowed(config, client);
    }, config);
    // Its loops outlive what this is called for.
    return runLazilyIn(NONE, () => original.call(this, followed, ...others));
  };
}

/** The same object, with followed functions: of its own ones only, since the client takes no others. */
function withFollowed(config, client) {
  const properties = Object.getOwnPropertyDescriptors(config);
  for (const [name, following] of [['eachMessage', forMessage], ['eachBatch', forBatch]]) {
    if (properties[name] === undefined) continue;
    const value = config[name];
    const { enumerable } = properties[name];
    if (typeof value === 'function') properties[name] = { value: inPlaceOf(value, following(value, client)), enumerable };
  }
  return Object.create(Object.getPrototypeOf(config), properties);
}

function forMessage(eachMessage, consumer) {
  return function eachOf(payload, ...others) {
    const work = () => eachMessage.call(this, payload, ...others);
    const processing = guarded(() => processingOf(payload.message, placeIn(payload, payload.message), consumer));
    if (!processing) return work();
    guarded(() => setProcessing(payload, processing));
    // The client waits for it, whosever it is.
    return settled(processing, OURS, () => runIn(processing, work));
  };
}

function forBatch(eachBatch, consumer) {
  return function batchOf(payload, ...others) {
    guarded(() => {
      const { batch } = payload;
      const placeOf = (message) => placeIn(batch, message);
      followValues(lists.handedOver(batch.messages, placeOf), placeOf, consumer);
    });
    return runLazilyIn(NONE, () => eachBatch.call(this, payload, ...others));
  };
}

function placeIn({ topic, partition }, { offset }) { return { topic, partition, offset }; }

module.exports = { patchKafkaJS };
