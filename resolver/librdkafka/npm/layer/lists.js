// Lists of messages: whoever goes through one is at work on each in turn.
//
// The list is the client's own array, with some methods of its own that say it. What is reached by its index is not seen.
'use strict';

const otel = require('./opentelemetry');
const { current, isAsync, processingOf, runIn, settled } = require('./processing');
const { guarded } = require('./tell');

/** Methods that call a function for each message, and whether they give back what it returns, promises too. */
const METHODS = {
  forEach: false, map: true, flatMap: false, filter: false, some: false, every: false, find: false, findIndex: false,
};

/** Lets a list tell which of its messages is worked on. `placeOf` gives a message's topic, partition and offset. */
function follow(messages, placeOf = (message) => message) {
  const of = (message) => processingOf(message, placeOf(message));
  const define = (name, value) => Object.defineProperty(messages, name, { value, configurable: true, writable: true });
  for (const [name, givesBack] of Object.entries(METHODS)) {
    const method = messages[name];
    define(name, function each(work, self) {
      if (typeof work !== 'function') return method.call(this, work, self);
      return method.call(this, (message, ...others) => {
        const processing = message && typeof message === 'object' ? guarded(() => of(message)) : undefined;
        if (!processing) return work.call(self, message, ...others);
        const isOurs = givesBack || isAsync(work);
        return settled(processing, isOurs, () => runIn(processing, () => work.call(self, message, ...others)));
      });
    });
  }
  const iterator = messages[Symbol.iterator];
  const iterate = function iterate() { return turns(iterator.call(this), of); };
  define(Symbol.iterator, iterate);
  define('values', iterate);
  return messages;
}

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
    this._before = current.getStore();
    this._processing = processing;
    processing.hold();
    this._contextBefore = processing.begin() && otel.enter(processing.context());
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
