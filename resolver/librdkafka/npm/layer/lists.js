// Lists of messages: whoever goes through one is at work on each in turn.
//
// The list is the client's own array, with some methods of its own that say it. What is reached by its index is not seen.
'use strict';

const library = require('./library');
const { NO_PROMISE, OURS, SHARED, header, isAsync, processingOf, runIn, runLazilyIn, settled } = require('./processing');
const { inPlaceOf, iteratorLike } = require('./stand_in');
const { guarded } = require('./tell');
const { Turn } = require('./turns');

/** Where a list has what gives the place of a message in it. */
const PLACES = Symbol('tracer-interceptors.places');

/** Lets a list tell which of its messages is worked on. `placeOf` gives a message's topic, partition and offset. */
function follow(messages, placeOf = (message) => message) {
  if (!messages[PLACES]) Object.defineProperties(messages, { ...OWN, [PLACES]: { value: placeOf } });
  return messages;
}

/** The same for a list that one call has given the program, which the library is told where it wants to know. */
function handedOver(messages, placeOf = (message) => message) {
  const isNew = !messages[PLACES];
  const functions = library.find();
  if (isNew && messages.length > 0 && functions && functions.wantsBatches()) {
    functions.handOver(messages.flatMap((message) => {
      const { topic, partition, offset } = placeOf(message);
      return [topic, Number(partition), Number(offset), header(message.headers, 'traceparent')];
    }));
  }
  return follow(messages, placeOf);
}

/** That of what a list holds; undefined where the list, or what the program has put into it, is none of the client's. */
function processingIn(messages, message) {
  if (typeof message !== 'object' || message === null || messages[PLACES] === undefined) return undefined;
  const place = messages[PLACES](message);
  return typeof place.topic === 'string' && place.offset !== undefined ? processingOf(message, place) : undefined;
}

/** A method that calls a function for each message; `givesBack` what it returns, promises too. */
function each(name, givesBack) {
  const method = Array.prototype[name];
  return inPlaceOf(method, function each(work, self) {
    if (typeof work !== 'function') return method.call(this, work, self);
    const isOfAsync = isAsync(work);
    // A plain function may do nothing for the message: it is begun when something is sent or traced, or waited for.
    const run = isOfAsync ? runIn : runLazilyIn;
    const whose = isOfAsync ? OURS : givesBack ? SHARED : NO_PROMISE;
    return method.call(this, (message, ...others) => {
      const called = () => work.call(self, message, ...others);
      const processing = guarded(() => processingIn(this, message));
      return processing ? settled(processing, whose, () => run(processing, called)) : called();
    });
  });
}

/** A method that gives some of the messages. */
function some(name) {
  const method = Array.prototype[name];
  return inPlaceOf(method, function some(...which) {
    const messages = method.apply(this, which);
    if (this[PLACES] !== undefined) guarded(() => follow(messages, this[PLACES]));
    return messages;
  });
}

/** A method that gives an iterator; `messageOf` what it gives. */
function iterate(name, messageOf) {
  const method = Array.prototype[name];
  return inPlaceOf(method, function iterate() {
    const iterator = method.call(this);
    // Whoever asks it by hand for the next one may do so in the middle of something else.
    return iteratorLike(iterator, {
      next: () => iterator.next(),
      [Symbol.iterator]: () => turns(iterator, (value) => processingIn(this, messageOf(value))),
    });
  });
}

const OWN = {};
for (const [name, value] of Object.entries({
  forEach: each('forEach', false), map: each('map', true), flatMap: each('flatMap', false),
  filter: some('filter'), slice: some('slice'),
  values: iterate('values', (message) => message), entries: iterate('entries', ([, message]) => message),
})) OWN[name] = { value, configurable: true, writable: true };
OWN[Symbol.iterator] = {
  // A loop asks it once only.
  value: inPlaceOf(Array.prototype[Symbol.iterator], function iterate() { return OWN.values.value.call(this)[Symbol.iterator](); }),
  configurable: true,
  writable: true,
};

/** An iterator of messages, each of which is current from its `next` to the following one. */
function turns(iterator, of) {
  const turn = new Turn();
  return iteratorLike(iterator, {
    next() {
      guarded(() => turn.leave());
      const result = iterator.next();
      if (result.done) guarded(() => turn.isOver());
      else guarded(() => turn.enter(of(result.value)));
      return result;
    },
    return(value) {
      guarded(() => turn.isOver());
      return { done: true, value };
    },
    // Several loops may share one.
    [Symbol.iterator]: () => turns(iterator, of),
  });
}

module.exports = { follow, handedOver };
