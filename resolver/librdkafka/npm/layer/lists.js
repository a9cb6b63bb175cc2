// Lists of messages: whoever goes through one is at work on each in turn.
//
// The list is the client's own array, with some methods of its own that say it. What is reached by its index is not seen.
'use strict';

const otel = require('./opentelemetry');
const { current, isAsync, processingOf, runIn, runLazilyIn, settled } = require('./processing');
const { guarded } = require('./tell');

/** Where a list has what gives the place of a message in it. */
const PLACES = Symbol('tracer-interceptors.places');

/** Lets a list tell which of its messages is worked on. `placeOf` gives a message's topic, partition and offset. */
function follow(messages, placeOf = (message) => message) {
  if (!messages[PLACES]) Object.defineProperties(messages, { ...OWN, [PLACES]: { value: placeOf } });
  return messages;
}

function processingIn(messages, message) {
  return typeof message === 'object' && message !== null ? processingOf(message, messages[PLACES](message)) : undefined;
}

/** A method that calls a function for each message; `givesBack` what it returns, promises too. */
function each(name, givesBack) {
  const method = Array.prototype[name];
  return function each(work, self) {
    if (typeof work !== 'function') return method.call(this, work, self);
    const isOfAsync = isAsync(work);
    // A plain function may do nothing for the message: it is begun when something is sent or traced, or waited for.
    const run = isOfAsync ? runIn : runLazilyIn;
    return method.call(this, (message, ...others) => {
      const called = () => work.call(self, message, ...others);
      const processing = guarded(() => processingIn(this, message));
      return processing ? settled(processing, givesBack || isOfAsync, () => run(processing, called)) : called();
    });
  };
}

/** A method that gives some of the messages. */
function some(name) {
  const method = Array.prototype[name];
  return function some(...which) {
    const messages = method.apply(this, which);
    guarded(() => follow(messages, this[PLACES]));
    return messages;
  };
}

function iterate() {
  return turns(Array.prototype.values.call(this), (message) => processingIn(this, message));
}

const OWN = {};
for (const [name, value] of Object.entries({
  forEach: each('forEach', false), map: each('map', true), flatMap: each('flatMap', false),
  filter: some('filter'), slice: some('slice'), values: iterate,
})) OWN[name] = { value, configurable: true, writable: true };
OWN[Symbol.iterator] = OWN.values;

/** An iterator of messages, each of which is current from its `next` to the following one. */
function turns(iterator, of) {
  const turn = new Turn();
  return {
    next() {
      guarded(() => turn.leave());
      const result = iterator.next();
      if (!result.done) guarded(() => turn.enter(of(result.value)));
      return result;
    },
    return(value) {
      guarded(() => turn.leave());
      return { done: true, value };
    },
    [Symbol.iterator]() { return this; },
  };
}

/** What one message after the other is current in, for the code that goes on here. */
class Turn {
  constructor() {
    this._processing = undefined;
    this._before = undefined;
    this._contextBefore = undefined;
  }

  enter(processing) {
    if (!processing) return;
    this._before = current.getStore();
    this._processing = processing;
    processing.hold();
    processing.begin();
    this._contextBefore = otel.enter(processing.context());
    current.enterWith(processing);
  }

  leave() {
    if (!this._processing) return;
    const processing = this._processing;
    this._processing = undefined;
    current.enterWith(this._before);
    otel.enter(this._contextBefore);
    processing.release();
  }
}

module.exports = { follow, Turn };
