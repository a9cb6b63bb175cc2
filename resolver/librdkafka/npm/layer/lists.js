// Lists of messages: whoever goes through one is at work on each in turn.
//
// The list is the client's own array, with some methods of its own that say it. What is reached by its index is not seen.
'use strict';

const otel = require('./opentelemetry');
const { Entered, current, isAsync, processingOf, runIn, runLazilyIn, settled } = require('./processing');
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
  const turn = new Turn(false);
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
  /** `isOwn`: nobody but the loop goes on where a message is entered. */
  constructor(isOwn) {
    this._isOwn = isOwn;
    this._entered = undefined;
    this._contextBefore = undefined;
  }

  enter(processing) {
    if (!processing) return;
    const entered = new Entered(processing);
    this._entered = entered;
    processing.hold();
    processing.begin();
    if (otel.isThere()) this._contextBefore = otel.enter(otel.contextWith(entered));
    current.enterWith(entered);
    if (this._isOwn) return;
    // When the loop waits at this message, its caller goes on in the same context; from then on the loop has its own.
    queueMicrotask(() => { if (this._entered === entered) this._isOwn = entered; });
  }

  leave() {
    const entered = this._entered;
    if (!entered) return;
    this._entered = undefined;
    if (this._isOwn === entered) {
      this._isOwn = true;
      entered.isLeft = true;
    }
    current.enterWith(entered.before);
    otel.enter(this._contextBefore);
    this._contextBefore = undefined;
    entered.processing.release();
  }
}

module.exports = { follow, Turn };
