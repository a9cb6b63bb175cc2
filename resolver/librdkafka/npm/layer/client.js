// node-rdkafka's classes, which are also the `RdKafka` of @confluentinc/kafka-javascript.
'use strict';

const events = require('./events');
const { patchKafkaJS } = require('./kafkajs');
const library = require('./library');
const lists = require('./lists');
const {
  NONE, NO_PROMISE, calledIn, currentProcessing, handle, isAsync, processingOf, runLazilyIn, settled,
} = require('./processing');
const resources = require('./resources');
const { connects, produced, sends, sendsFor } = require('./sends');
const { inPlaceOf } = require('./stand_in');
const { followReadStream, followValues, followWriteStream, originOf, pendingOf } = require('./streams');
const { guarded, tell } = require('./tell');

/** Consumers that hand their messages to a stream, or to the KafkaJS-like API, where it is known what becomes of them. */
const fed = new WeakSet();
/** Those of them whose stream hands on the messages' values only. */
const fedByValue = new WeakSet();
const patched = new WeakSet();

/** `exported` is what the program gets of the module `name`: the whole client, or one of its files. */
function patchClient(exported, name) {
  if (!exported || (typeof exported !== 'object' && typeof exported !== 'function') || patched.has(exported)) return;
  patched.add(exported);
  const { KafkaConsumer, Producer, KafkaJS } = exported;
  if (typeof KafkaConsumer !== 'function' || typeof Producer !== 'function') {
    tell(`${name} has other classes than expected: causes are not known`);
    return;
  }
  library.find();
  events.follow();
  if (!patched.has(KafkaConsumer)) patchClasses(exported, name);
  // The module has these two by other names too.
  for (const names of [exported, exported.RdKafka]) {
    if (names && names.createReadStream) names.createReadStream = KafkaConsumer.createReadStream;
    if (names && names.createWriteStream) names.createWriteStream = Producer.createWriteStream;
  }
  if (KafkaJS && KafkaJS.Kafka) guarded(() => patchKafkaJS(KafkaJS, fed));
}

/** Two files of a client have the same classes. */
function patchClasses({ KafkaConsumer, Producer, HighLevelProducer }, name) {
  patched.add(KafkaConsumer);
  events.tells(KafkaConsumer.prototype);
  const patch = (owner, method, by) => {
    if (owner && typeof owner[method] === 'function') owner[method] = inPlaceOf(owner[method], by(owner[method]));
    else tell(`${name} has no ${method}(): what goes through it is not known to be caused by anything`);
  };
  patch(KafkaConsumer.prototype, 'consume', consume);
  patch(KafkaConsumer.prototype, 'emit', emit);
  patch(KafkaConsumer, 'createReadStream', createReadStream);
  patch(Producer.prototype, 'connect', connect);
  patch(Producer.prototype, 'produce', produce);
  patch(Producer, 'createWriteStream', createWriteStream);
  if (HighLevelProducer) patch(HighLevelProducer.prototype, '_modifiedProduce', highLevelProduce);
}

/** consume(), consume(callback), consume(number, callback). */
function consume(original) {
  return function consume(number, callback) {
    guarded(() => {
      library.find();
      resources.follow();
    });
    if (fed.has(this)) {
      return original.call(this, number, typeof callback === 'function' ? feeding(this, callback) : callback);
    }
    if (typeof callback === 'function' && number) {
      return original.call(this, number, ofMany(callback, this, number === 1 ? lists.follow : lists.handedOver));
    }
    const each = typeof number === 'function' && callback === undefined ? number : callback;
    return typeof each === 'function' ? original.call(this, ofOne(each, this)) : original.apply(this, arguments);
  };
}

/** The callback of what a consumer feeds. */
function feeding(consumer, callback) {
  return function fedWith(error, messages) {
    if (fedByValue.has(consumer) && Array.isArray(messages)) guarded(() => followValues(messages, undefined, consumer));
    return runLazilyIn(NONE, () => callback.apply(this, arguments));
  };
}

/** A callback for one message at a time. */
function ofOne(callback, consumer) {
  return function eachOf(error, message) {
    const processing = isMessage(message) ? guarded(() => processingOf(message, message, consumer)) : undefined;
    const work = () => callback.apply(this, arguments);
    return processing ? handle(processing, callback, work) : runLazilyIn(NONE, work);
  };
}

/** A callback for a list of messages, which `follow` lets tell which of them is worked on. */
function ofMany(callback, consumer, follow) {
  return function allOf(error, messages) {
    const work = () => callback.apply(this, arguments);
    const list = Array.isArray(messages) ? guarded(() => follow(messages)) : undefined;
    if (list) guarded(() => followValues(list, undefined, consumer));
    if (!list || list.length !== 1) return runLazilyIn(NONE, work);
    // It may only pass the list on to where it is worked at; an `async` function works at it.
    const processing = guarded(() => processingOf(list[0], list[0], consumer), NONE);
    if (isAsync(callback)) return handle(processing, callback, work);
    return settled(processing, NO_PROMISE, () => runLazilyIn(processing, work));
  };
}

function isMessage(message) {
  return typeof message === 'object' && message !== null && typeof message.topic === 'string';
}

/** A consumer tells its listeners of a message: each of them is called as by Node's own `emit`. */
function emit(original) {
  return function emit(name, message) {
    if (name !== 'data' || !isMessage(message) || this.listenerCount('data') === 0) {
      return original.apply(this, arguments);
    }
    const processing = guarded(() => processingOf(message, message, this));
    return processing ? events.emitIn(processing, this, original, arguments) : original.apply(this, arguments);
  };
}

/** createReadStream(…) */
function createReadStream(original) {
  return function createReadStream(...settings) {
    const stream = original.apply(this, settings);
    guarded(() => {
      fed.add(stream.consumer);
      if (!stream.readableObjectMode) fedByValue.add(stream.consumer);
      followReadStream(stream);
    });
    return stream;
  };
}

/** connect(…) of a producer. */
function connect(original) {
  return function connect(...settings) {
    guarded(() => connects(this));
    return original.apply(this, settings);
  };
}

/** produce(topic, partition, message, key, timestamp, opaque, headers) */
function produce(original) {
  return function produce(...record) {
    return produced(this, record, guarded(sayCause, undefined, this, record), original);
  };
}

/** Says what a record follows from. */
function sayCause(producer, record) {
  // What a write stream writes follows from what it was given the message for.
  const pending = pendingOf(producer, record);
  if (pending) return sendsFor(pending, record);
  // A message's own value, or key, is sent on for that message, whoever does it.
  const origin = originOf(record[2]) || originOf(record[3]);
  if (origin === undefined || origin === NONE) return sends(record);
  origin.sendsInFact(record[0]);
  return sendsFor(origin, record);
}

/** The producer whose callback is told of the delivery: what that does follows from what the message followed from. */
function highLevelProduce(original) {
  return function _modifiedProduce(...record) {
    const last = record.length - 1;
    const callback = record[last];
    const processing = currentProcessing();
    if (typeof callback === 'function' && processing) record[last] = calledIn(processing, callback);
    return original.apply(this, record);
  };
}

/** createWriteStream(…) */
function createWriteStream(original) {
  return function createWriteStream(...settings) {
    const stream = original.apply(this, settings);
    guarded(() => followWriteStream(stream));
    return stream;
  };
}

module.exports = { patchClient };
