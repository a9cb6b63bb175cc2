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
  const waiting = followWrites(stream, (chunk) => originOf(chunk) || currentProcessing() || NONE);
  const { _write, push } = stream;
  // It may call itself again, as one does that waits until it is ready: then this is what it was called for.
  const under = new WeakMap();
  define(stream, '_write', function written(chunk, encoding, done) {
    const again = under.get(done);
    const processing = again || waiting.shift() || NONE;
    const over = again ? done : calledBy(done, (self, results) => {
      guarded(() => processing.release());
      return Reflect.apply(done, self, results);
    });
    under.set(over, processing);
    const begin = isMessage(chunk) ? runIn : runLazilyIn;
    return begin(processing, () => _write.call(this, chunk, encoding, over));
  });
  const { _writev } = stream;
  if (typeof _writev === 'function') {
    define(stream, '_writev', function written(chunks, done) {
      const processings = chunks.map(() => waiting.shift() || NONE);
      return runLazilyIn(NONE, () => _writev.call(this, chunks, calledBy(done, (self, results) => {
        guarded(() => processings.forEach((processing) => processing.release()));
        return Reflect.apply(done, self, results);
      })));
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
  const waiting = followWrites(stream, (chunk) => {
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
    const processing = done.processing || waiting.shift() || NONE;
    const over = (...results) => {
      guarded(() => processing.release());
      return done(...results);
    };
    over.processing = processing;
    const before = writing;
    writing = { producer: this.producer, processing };
    try {
      return runLazilyIn(processing, () => _write.call(this, chunk, encoding, done.processing ? done : over));
    } finally {
      writing = before;
    }
  });
  if (typeof _writev !== 'function') return;
  define(stream, '_writev', function written(chunks, done) {
    if (done.processing) return _writev.call(this, chunks, done);
    const batch = { chunks: chunks.map(({ chunk }) => chunk), processings: chunks.map(() => waiting.shift() || NONE), next: 0 };
    const over = (...results) => {
      guarded(() => batch.processings.forEach((processing) => processing.release()));
      batches.delete(this.producer);
      return done(...results);
    };
    over.processing = NONE;
    batches.set(this.producer, batch);
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

/** Keeps, in their order, what `writtenFor` says that chunks are written for; the list of it, from which it is to be taken. */
function followWrites(stream, writtenFor) {
  const waiting = [];
  const keep = (chunk) => {
    const processing = writtenFor(chunk);
    processing.hold();
    waiting.push(processing);
  };
  const { write, end, _destroy } = stream;
  define(stream, 'write', function written(chunk, ...others) {
    if (!stream.destroyed) guarded(() => keep(chunk));
    const before = waiting.length;
    try {
      return write.call(this, chunk, ...others);
    } catch (error) {
      // It was refused.
      if (before > 0 && waiting.length === before) waiting.pop().release();
      throw error;
    }
  });
  define(stream, 'end', function ended(chunk, ...others) {
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function' && !stream.destroyed) guarded(() => keep(chunk));
    return end.call(this, chunk, ...others);
  });
  if (typeof _destroy === 'function') {
    // What still waits is never written.
    define(stream, '_destroy', function destroyed(error, done) {
      guarded(() => waiting.splice(0).forEach((processing) => processing.release()));
      return _destroy.call(this, error, done);
    });
  }
  return waiting;
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
