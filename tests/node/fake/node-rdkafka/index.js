// A client without a Kafka: what the layer is given by node-rdkafka, and what it says of each send.
//
// A consumer gives the messages that `give` was told, for all or for this one; a producer keeps what the layer said in `sent`.
'use strict';

const EventEmitter = require('events');
const path = require('path');
const { Readable } = require('stream');

const layer = path.join(__dirname, '../../../../resolver/librdkafka/npm/layer');
/** Each send as `{ topic, about, cause }`: the number of the message that it is about, and of the one it follows from. */
const sent = [];
/** The processings, by the number of their message: how often each began and ended. */
const begun = new Map();
const ended = new Map();
/** What was told of failures: `[number, type, message]`. */
const failed = [];
const waiting = [];
let next;

/** Stands for the library. */
const functions = {
  begin(topic, partition, offset) {
    begun.set(offset, (begun.get(offset) || 0) + 1);
    return { offset };
  },
  end({ offset }) { ended.set(offset, (ended.get(offset) || 0) + 1); },
  fail({ offset }, type, message) { failed.push([offset, type, message]); },
  wantsBatches() { return undefined; },
  context({ offset }) { return `00-${String(offset + 1).padStart(32, '0')}-${'b'.repeat(16)}-01`; },
  nextSend(processed) {
    next = processed;
    return sent.length;
  },
  nextSendOf() {
    next = undefined;
    return sent.length;
  },
  sender() { return 1; },
};
require(path.join(layer, 'library')).find = () => functions;

/** `count` further messages, for any consumer or `to` one. */
function give(count, topic = 'orders', to = undefined) {
  const first = give.given;
  give.given += count;
  (to === undefined ? waiting : to.waiting).push(...Array.from({ length: count }, (_, at) => ({
    topic, partition: 0, offset: first + at, value: Buffer.from(String(first + at)), key: Buffer.from(`key ${first + at}`), headers: [],
  })));
}
give.given = 0;

class KafkaConsumer extends EventEmitter {
  constructor() {
    super();
    this.waiting = [];
  }

  _take(number) { return [...this.waiting.splice(0, number), ...waiting.splice(0, number)]; }

  consume(number, callback) {
    if (typeof number === 'number') {
      setImmediate(() => callback(null, this._take(number)));
      return;
    }
    // As a thread of the client's does, all in one turn.
    setImmediate(() => {
      for (const message of this._take(Infinity)) {
        this.emit('data', message);
        if (typeof number === 'function') number(null, message);
      }
    });
  }

  static createReadStream() {
    const stream = new Readable({ objectMode: true, read() {
      setImmediate(() => stream.push(waiting.length > 0 ? waiting.shift() : null));
    } });
    return Object.assign(stream, { consumer: new KafkaConsumer() });
  }
}

class Producer extends EventEmitter {
  connect() { return this; }

  produce(topic, partition, value, key) {
    const cause = next && next.offset;
    next = undefined;
    sent.push({ topic, about: value === null ? undefined : Number(value), key, cause });
  }

  static createWriteStream() { throw new Error('there is none'); }
}

/** The KafkaJS-like API: it takes what a program's settings have themselves, as the client does. */
class Consumer {
  _getInternalClient() { return this; }

  async run(config) {
    const own = { ...config };
    for (const message of waiting.splice(0)) {
      const { topic, partition } = message;
      if (own.eachMessage) await own.eachMessage({ topic, partition, message });
      else await own.eachBatch({ batch: { topic, partition, messages: [message] } });
    }
    return Object.keys(own);
  }
}

class Kafka {
  consumer() { return new Consumer(); }
}

module.exports = { KafkaJS: { Kafka }, KafkaConsumer, Producer, give, sent, begun, ended, failed };
