// Which message the code that runs is at work on. It is kept where the runtime follows it: through callbacks, timers and
// promises.
'use strict';

const { AsyncLocalStorage } = require('async_hooks');
const { performance } = require('perf_hooks');
const { types: { isPromise, isProxy } } = require('util');
const { closed, isForItself } = require('./habits');
const { hidden } = require('./hidden');
const library = require('./library');
const otel = require('./opentelemetry');
const { Account, othersOf } = require('./others');
const { Given } = require('./promises');
const { calledBy } = require('./stand_in');
const { guarded } = require('./tell');

const current = new AsyncLocalStorage();
/** The processings of messages. */
const known = hidden();
/** What the values and keys of messages, and chunks of streams, are of. */
const origins = hidden();

/**
 * Milliseconds after its end in which what is sent still follows from a message whose code has not said that it is done. A
 * loop of timers and promises that is begun for one message may go on for ever, and for all.
 */
const AFTER_END = 10000;

/** The processing of a message. It begins when something is known to be done for it. */
class Processing {
  /** `place` tells the message's topic, partition and offset; `consumer` gave it to the program. */
  constructor(place, headers, value, key, consumer) {
    this._place = place;
    this._value = value;
    this._key = key;
    this._headers = headers;
    /** What the library has of it; undefined before it begins, and for a message that is not traced. */
    this._began = undefined;
    this._holds = 0;
    /** That of the loop which has last come to it. */
    this.turn = undefined;
    this._hasEnded = false;
    this._endedAt = Infinity;
    this.account = new Account(othersOf(consumer));
    /** Its code has waited, and has said then that it is done: what goes on is for nobody knows whom. */
    this._isDone = false;
    /** Its code is an `async` function that waits, and says by promises what for. */
    this.isAwaited = false;
    this._hasBegunMore = false;
    this._brought = undefined;
    this._context = undefined;
    this._outer = undefined;
  }

  /** What the library has of it. */
  begin() {
    if (this._place) {
      const { topic, partition, offset } = this._place;
      const headers = this._headers;
      this._place = undefined;
      this._headers = undefined;
      const { begin } = library.find() || {};
      if (begin) {
        this._brought = header(headers, 'traceparent');
        this._began = begin(topic, Number(partition), Number(offset), this._brought, header(headers, 'tracestate'));
        this._lookAround();
        // Begun by what is sent by and by, of which nothing tells the end.
        if (this._holds === 0) this._end();
      }
    }
    return this._began;
  }

  /** Whether what is sent to `topic` now is for this one, and not for another message or nobody knows which. */
  sends(topic, value, key) {
    if (this === NONE) return false;
    if (this._isOwn(value) || this._isOwn(key)) {
      this.account.sentTo(topic);
      return !this.isOver;
    }
    const isForThis = isForItself(this.account, topic);
    return isForThis && !this.isOver;
  }

  /** Whether that is what the message itself has: whoever sends it on does it for this message. */
  _isOwn(part) {
    return typeof part === 'object' && part !== null && (part === this._value || part === this._key);
  }

  /** What is sent to `topic` now is in fact of it. */
  sendsInFact(topic) {
    if (this !== NONE) this.account.sentTo(topic);
  }

  /** Whether nothing follows from it any more. */
  get isOver() {
    if (this.turn !== undefined && this.turn.isLost) return true;
    if (!this._hasEnded) return false;
    return this._isDone || performance.now() - this._endedAt > AFTER_END;
  }

  get hasBegun() { return this._place === undefined; }

  get hasEnded() { return this._hasEnded; }

  /** Its context, as text. */
  traceparent() {
    const began = this.begin();
    return began && library.find().context(began);
  }

  /** The program's own spans are children of this one in it. Undefined without OpenTelemetry. */
  context() {
    if (this._context === undefined && this !== NONE && otel.isThere()) {
      this._lookAround();
      this._context = otel.contextWith(this);
    }
    return this._context;
  }

  _lookAround() {
    if (this._context) return;
    const outer = otel.activeSpan();
    this._outer = outer && outer.spanId;
  }

  /** Whether the active span of the program was active before this began already. */
  isWithin(span) { return span.spanId === this._outer; }

  /** Whether headers with this `traceparent` say no more than that the message is passed on. */
  isPassedOnBy(traceparent) { return traceparent === this._brought || traceparent === this.traceparent(); }

  fail(error) {
    this.account.fails(true);
    const began = this.begin();
    if (!began || this._hasEnded) return;
    const type = (error && error.name) || (error === null ? 'null' : typeof error);
    library.find().fail(began, String(type), String(error && error.message !== undefined ? error.message : error));
  }

  /** What its code returned has settled; `hasWaited`: not at once. Code that did not wait has only begun what is to be done. */
  settle(hasWaited) {
    if (!hasWaited) this._hasBegunMore = true;
    this._isDone = !this._hasBegunMore;
    this.release();
  }

  /** It ends when nobody holds it any more. */
  hold() {
    this._holds += 1;
  }

  release() {
    this._holds -= 1;
    if (this._holds !== 0 || this === NONE) return;
    this.account.handed();
    // Whoever sends one of them on does it for this message.
    if (this.account.sends === 0) {
      for (const part of [this._value, this._key]) if (typeof part === 'object' && part !== null) origins.set(part, this);
    }
    this._value = undefined;
    this._key = undefined;
    if (this.hasBegun) this._end();
  }

  _end() {
    if (this._hasEnded) return;
    this._hasEnded = true;
    // The system's clock may be set meanwhile.
    this._endedAt = performance.now();
    if (this._began) library.find().end(this._began);
  }
}

/** That of code which is at work on no message, whatever it was called by. */
const NONE = new Processing(undefined);

/** What the code that runs is at work on; undefined where it is on nothing. */
function currentProcessing() { return current.getStore(); }

/** The value of a header: of a list of objects, as node-rdkafka has them, or of one object. */
function header(headers, name) {
  if (!headers) return undefined;
  for (const some of Array.isArray(headers) ? headers : [headers]) {
    const value = some && some[name];
    if (value !== undefined && value !== null) return String(Array.isArray(value) ? value[0] : value);
  }
  return undefined;
}

/** That of a message which the program was handed; the same for as long as the message lives. */
function processingOf(message, place = message, consumer = undefined) {
  const present = known.get(message);
  if (present !== undefined) return present;
  const processing = new Processing(place, message.headers, message.value, message.key, consumer);
  setProcessing(message, processing);
  return processing;
}

function knownProcessing(message) { return known.get(message); }

function setProcessing(message, processing) { known.set(message, processing); }

/** Calls `work` at work on a message, which has begun. */
function runIn(processing, work) {
  guarded(() => processing.begin());
  return runLazilyIn(processing, work);
}

/** Calls `work` at work on a message that it may do nothing for. Whatever it enters itself, what was before is current after it. */
function runLazilyIn(processing, work) {
  const before = current.getStore();
  const context = guarded(() => processing.context());
  current.enterWith(processing);
  try {
    return otel.within(context, work);
  } finally {
    current.enterWith(before);
  }
}

/** The program's callback, as one that is called at work on that message. */
function calledIn(processing, callback) {
  return calledBy(callback, (self, what) => runLazilyIn(processing, () => Reflect.apply(callback, self, what)));
}

/**
 * Calls what the program has for a message. Its processing ends when that returns; when it is an `async` function, whose
 * promise nobody but the caller can have, with that promise, which comes back as another one.
 */
function handle(processing, handler, work) {
  return settled(processing, isAsync(handler) ? OURS : NO_PROMISE, () => runIn(processing, work));
}

/** Nobody but the layer has the promise that is given, or whoever gets it from the layer handles it: another one comes back. */
const OURS = 'ours';
/** The program may have it, too: it comes back itself. */
const SHARED = 'shared';
/** What is given is not looked at. */
const NO_PROMISE = 'no promise';

/** Calls `work`, and gives what that gives; if it is a promise, the processing ends with it. `whose` it is. */
function settled(processing, whose, work) {
  const { account } = processing;
  guarded(() => {
    processing.hold();
    account.fails(false);
  });
  const given = whose === SHARED ? new Given() : undefined;
  let result;
  try {
    result = given === undefined ? work() : given.by(work);
  } catch (error) {
    guarded(() => processing.fail(error));
    guarded(() => processing.release());
    throw error;
  }
  if (given === undefined ? whose === NO_PROMISE || !isPromise(result) : !given.isPromise) {
    guarded(() => processing.settle(false));
    return result;
  }
  guarded(() => {
    processing.begin();
    processing.isAwaited = true;
    account.opens(true);
    account.handed();
  });
  const ends = (hasWaited) => {
    guarded(() => closed(account, hasWaited));
    guarded(() => processing.settle(hasWaited));
  };
  if (given !== undefined) {
    guarded(() => given.whenOver(() => ends(given.hasWaited), (error) => {
      guarded(() => processing.fail(error));
      ends(given.hasWaited);
    }));
    return result;
  }
  let hasWaited = false;
  const outcome = result.then((value) => {
    ends(hasWaited);
    return value;
  }, (error) => {
    guarded(() => processing.fail(error));
    ends(hasWaited);
    throw error;
  });
  // Comes right after the above if that has settled already.
  SETTLED.then(() => { hasWaited = true; });
  return outcome;
}

const SETTLED = Promise.resolve();

const AsyncFunction = (async () => {}).constructor;

/** Whether it gives a promise that it has made. What stands before such a function may give another one. */
function isAsync(handler) { return handler instanceof AsyncFunction && !isProxy(handler); }

module.exports = {
  NONE, NO_PROMISE, OURS, Processing, SHARED, calledIn, current, currentProcessing, handle, header, isAsync, knownProcessing,
  origins, processingOf, runIn, runLazilyIn, setProcessing, settled,
};
