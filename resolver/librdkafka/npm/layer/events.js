// Events. Of one that tells of a message, who listens is at work on it. In any other, a listener that was added for one message
// and is called for another is at work on either, so on none.
'use strict';

const EventEmitter = require('events');
const { NONE, currentProcessing, handle, isAsync, runLazilyIn } = require('./processing');
const { reported } = require('./promises');
const { inPlaceOf } = require('./stand_in');
const { guarded } = require('./tell');

/** What emitters have whose `data` is known to tell of messages. */
const TELLS = Symbol('tracer-interceptors.tells');
/** Whom an emitter's listeners were added for: a map from them to processings. */
const ADDED = Symbol('tracer-interceptors.added');
let isFollowing = false;

/** From now on it is known for which messages listeners are added. */
function follow() {
  if (isFollowing) return;
  isFollowing = true;
  const owner = EventEmitter.prototype;
  // Two of them are one function.
  const adding = new Map();
  for (const name of ['on', 'addListener', 'prependListener']) {
    const add = owner[name];
    if (!adding.has(add)) adding.set(add, inPlaceOf(add, function added(event, listener) {
      const processing = currentProcessing();
      if (processing !== undefined && processing !== NONE) guarded(() => remember(this, event, listener, processing));
      return add.apply(this, arguments);
    }));
    owner[name] = adding.get(add);
  }
  const { emit } = owner;
  owner.emit = inPlaceOf(emit, function emitted(event, reason, promise) {
    if (event === 'unhandledRejection' && this === process) guarded(() => reported(promise, reason));
    if (this[ADDED] === undefined || !guarded(() => isOfAnother(this, event))) return emit.apply(this, arguments);
    return runLazilyIn(NONE, () => emit.apply(this, arguments));
  });
}

function remember(emitter, event, listener, processing) {
  if (typeof listener !== 'function' || (event === 'data' && emitter[TELLS])) return;
  if (!Object.isExtensible(emitter)) return;
  if (!emitter[ADDED]) Object.defineProperty(emitter, ADDED, { value: new WeakMap() });
  emitter[ADDED].set(listener, processing);
}

/** Whether somebody listens who was added for another message than the one that is current. */
function isOfAnother(emitter, event) {
  const processing = currentProcessing();
  if (processing === undefined || processing === NONE) return false;
  return emitter.rawListeners(event).some((listener) => {
    const added = emitter[ADDED].get(listener);
    return added !== undefined && added !== processing;
  });
}

/** The `data` of this emitter, or of all with this prototype, tells of messages. */
function tells(emitter) { Object.defineProperty(emitter, TELLS, { value: true, configurable: true }); }

/** Emits an event about what `processing` is at work on; `original` is the emitter's own `emit`, `what` its arguments. */
function emitIn(processing, emitter, original, what) {
  const listeners = emitter.rawListeners(what[0]);
  let isOfAsync = false;
  for (const listener of listeners) isOfAsync = isOfAsync || isAsync(listener.listener || listener);
  if (!isOfAsync || capturesRejections(emitter)) return handle(processing, original, () => original.apply(emitter, what));
  const values = Array.prototype.slice.call(what, 1);
  // Called as `emit` calls them, for their promises.
  guarded(() => processing.hold());
  try {
    for (const listener of listeners) {
      handle(processing, listener.listener || listener, () => listener.apply(emitter, values));
    }
  } finally {
    guarded(() => processing.release());
  }
  return listeners.length > 0;
}

/** Whether Node itself looks at the promises of listeners. */
function capturesRejections(emitter) {
  return CAPTURE === undefined ? EventEmitter.captureRejections : emitter[CAPTURE] === true;
}

const CAPTURE = Object.getOwnPropertySymbols(new EventEmitter()).find((symbol) => symbol.description === 'kCapture');

module.exports = { emitIn, follow, tells };
