// Streams: what a chunk is about goes with the chunk, since Node may hand it on much later, and from anywhere.
'use strict';

const { emitIn, tells } = require('./events');
const lists = require('./lists');
const { NONE, currentProcessing, knownProcessing, origins, processingOf, runIn, runLazilyIn } = require('./processing');
const { calledBy, inPlaceOf, iteratorLike } = require('./stand_in');
const { guarded } = require('./tell');
const { Turn } = require('./turns');

const followed = new WeakSet();
/** What a producer's write stream has in hand for it: `{ chunks, processings, next }`. */
const batches = new WeakMap();
/** The one record that a stream writes right now: `{ producer, processing }`. */
let writing;

/** A stream of messages, or of lists of them. */
function followReadStream(stream) {
  const push = stream.push;
  const follow = stream.fetchSize === 1 ? lists.follow : lists.handedOver;
  define(stream, 'push', function pushed(chunk, ...others) {
    guarded(() => {
      if (isMessage(chunk)) processingOf(chunk, chunk, stream.consumer);
      else if (Array.isArray(chunk)) followValues(follow(chunk), undefined, stream.consumer);
    });
    return push.call(this, chunk, ...others);
  });
  followReading(stream, (processing, emit, emitted) => emitIn(processing, stream, emit, emitted));
}

/** Messages of `consumer` of which the values may be sent on without them. `placeOf` gives where one is. */
function followValues(messages, placeOf = (message) => message, consumer = undefined) {
  for (let at = 0; at < messages.length; at += 1) {
    const message = messages[at];
    const processing = processingOf(message, placeOf(message), consumer);
    if (typeof message.value === 'object' && message.value !== null) origins.set(message.value, processing);
  }
}

/** A stream whose chunks are about messages; `tell` emits one. */
function followReading(stream, tell) {
  const { emit, pipe } = stream;
  tells(stream);
  define(stream, 'emit', function emitted(name, chunk) {
    if (name === 'readable') return runLazilyIn(NONE, () => emit.apply(this, arguments));
    if (name !== 'data') return emit.apply(this, arguments);
    const processing = originOf(chunk);
    if (!processing) return runLazilyIn(NONE, () => emit.apply(this, arguments));
    return tell(processing, emit, arguments);
  });
  define(stream, 'pipe', function piped(target, ...others) {
    guarded(() => followWriting(target));
    return pipe.call(this, target, ...others);
  });
  const iterator = stream[Symbol.asyncIterator];
  // Those of packages may have none.
  if (typeof iterator === 'function') define(stream, Symbol.asyncIterator, function iterate() { return turns(iterator.call(this)); });
}

/** A stream that chunks about messages are written to, and that may make others of them. */
function followWriting(stream) {
  if (!stream || followed.has(stream) || typeof stream._write !== 'function') return;
  followed.add(stream);
  const taken = followWrites(stream, (chunk) => originOf(chunk) || currentProcessing() || NONE);
  const { _write, push } = stream;
  define(stream, '_write', function written(chunk, encoding, done) {
    const { processings: [processing], over } = taken([chunk], done);
    const begin = isMessage(chunk) ? runIn : runLazilyIn;
    return begin(processing, () => _write.call(this, chunk, encoding, over));
  });
  const { _writev } = stream;
  if (typeof _writev === 'function') {
    define(stream, '_writev', function written(chunks, done) {
      const { over } = taken(chunks.map(({ chunk }) => chunk), done);
      return runLazilyIn(NONE, () => _writev.call(this, chunks, over));
    });
  }
  if (typeof push !== 'function') return;
  define(stream, 'push', function pushed(chunk, ...others) {
    guarded(() => remember(chunk));
    return push.call(this, chunk, ...others);
  });
  followReading(stream, (processing, emit, emitted) => runLazilyIn(processing, () => emit.apply(stream, emitted)));
}

/** A producer's stream: each record follows from what it was written for. */
function followWriteStream(stream) {
  followed.add(stream);
  const taken = followWrites(stream, (chunk) => {
    const topic = chunk && chunk.topic;
    const origin = originOf(chunk);
    if (origin !== undefined) {
      origin.sendsInFact(topic);
      return origin;
    }
    const processing = currentProcessing();
    return processing !== undefined && processing.sends(topic, chunk && chunk.value, chunk && chunk.key) ? processing : NONE;
  });
  const { _write, _writev } = stream;
  define(stream, '_write', function written(chunk, encoding, done) {
    // It calls itself again when the producer's queue is full, or not connected yet.
    const { processings: [processing], over } = taken([chunk], done);
    const before = writing;
    writing = { producer: this.producer, processing };
    try {
      return runLazilyIn(processing, () => _write.call(this, chunk, encoding, over));
    } finally {
      writing = before;
    }
  });
  if (typeof _writev !== 'function') return;
  define(stream, '_writev', function written(chunks, done) {
    const batch = { chunks: chunks.map(({ chunk }) => chunk), next: 0 };
    const { processings, over } = taken(batch.chunks, done, () => batches.delete(this.producer));
    if (over !== done) batches.set(this.producer, { ...batch, processings });
    return runLazilyIn(NONE, () => _writev.call(this, chunks, over));
  });
}

/** What a record of a batch that a stream writes follows from. The batch is in order; a record may be tried again. */
function pendingOf(producer, [, , value]) {
  if (writing !== undefined && writing.producer === producer) return writing.processing;
  const batch = batches.get(producer);
  if (!batch) return undefined;
  for (const at of [batch.next - 1, batch.next]) {
    const chunk = batch.chunks[at];
    if (chunk !== undefined && (chunk === value || chunk.value === value)) {
      batch.next = at + 1;
      return batch.processings[at];
    }
  }
  return undefined;
}

/**
 * Keeps, in their order, what `writtenFor` says that chunks are written for. What it gives is to be called when the stream writes
 * some, and gives what they were written for, and what is to be called when they are written; `after` is called then, too.
 *
 * A stream writes one after the other. What it asks for meanwhile it asks of itself, as one does that is not ready yet, or that
 * writes several one by one: then that is what is being written, and `done` is what it was given.
 */
function followWrites(stream, writtenFor) {
  const waiting = [];
  let underWay;
  const keep = (chunk) => {
    if (stream.destroyed) return;
    const processing = writtenFor(chunk);
    processing.hold();
    waiting.push(processing);
  };
  const { write, end, _destroy } = stream;
  define(stream, 'write', function written(chunk, ...others) {
    const before = waiting.length;
    guarded(() => keep(chunk));
    const kept = waiting.length;
    try {
      return write.call(this, chunk, ...others);
    } catch (error) {
      // It was refused.
      if (kept > before && waiting.length === kept) waiting.pop().release();
      throw error;
    }
  });
  define(stream, 'end', function ended(chunk, ...others) {
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') guarded(() => keep(chunk));
    return end.call(this, chunk, ...others);
  });
  if (typeof _destroy === 'function') {
    // What still waits is never written.
    define(stream, '_destroy', function destroyed(error, done) {
      guarded(() => waiting.splice(0).forEach((processing) => processing.release()));
      return _destroy.call(this, error, done);
    });
  }
  return function taken(chunks, done, after = () => {}) {
    if (underWay !== undefined) return { processings: chunks.map(underWay), over: done };
    const processings = chunks.map(() => waiting.shift() || NONE);
    underWay = (chunk) => {
      if (chunks.length === 1) return processings[0];
      const at = chunks.indexOf(chunk);
      return (at === chunks.lastIndexOf(chunk) && processings[at]) || NONE;
    };
    const over = calledBy(done, (self, results) => {
      underWay = undefined;
      guarded(() => processings.forEach((processing) => processing.release()));
      guarded(after);
      return Reflect.apply(done, self, results);
    });
    return { processings, over };
  };
}

/** An asynchronous iterator: a message is current for whoever takes it out of a result, until they ask for the next one. */
function turns(iterator) {
  const turn = new Turn();
  const leave = () => guarded(() => turn.leave());
  return iteratorLike(iterator, {
    next(...what) {
      leave();
      return Promise.resolve(iterator.next(...what)).then(({ done, value }) => (done ? { value, done } : {
        // Read where the loop goes on, and nobody else does.
        get value() {
          guarded(() => {
            const processing = originOf(value);
            leave();
            if (processing) turn.enter(processing);
          });
          return value;
        },
        done,
      }));
    },
    return(value) {
      guarded(() => turn.isOver());
      return typeof iterator.return === 'function' ? iterator.return(value) : Promise.resolve({ done: true, value });
    },
    ...(typeof iterator.throw === 'function' && {
      throw(error) {
        guarded(() => turn.isOver());
        return iterator.throw(error);
      },
    }),
    [Symbol.asyncIterator]() { return this; },
  });
}

/** What a chunk is about; undefined where nobody knows. */
function originOf(chunk) {
  return typeof chunk === 'object' && chunk !== null ? knownProcessing(chunk) || origins.get(chunk) : undefined;
}

/** A chunk that is made now is about what is worked on now; one that is made twice, about nobody knows what. */
function remember(chunk) {
  if (typeof chunk !== 'object' || chunk === null || knownProcessing(chunk)) return;
  const processing = currentProcessing() || NONE;
  const before = origins.get(chunk);
  origins.set(chunk, before === undefined || before === processing ? processing : NONE);
}

function isMessage(chunk) {
  return typeof chunk === 'object' && chunk !== null && typeof chunk.topic === 'string' && typeof chunk.offset === 'number';
}

/** A method of this one object, in the place of the one that it has. */
function define(owner, name, value) {
  Object.defineProperty(owner, name, { value: inPlaceOf(owner[name], value), configurable: true, writable: true });
}

module.exports = { followReadStream, followValues, followWriteStream, originOf, pendingOf, remember };
