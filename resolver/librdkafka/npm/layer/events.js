// Events that tell of a message: who listens is at work on it.
'use strict';

const EventEmitter = require('events');
const { handle, isAsync } = require('./processing');
const { followPromises } = require('./resources');
const { guarded } = require('./tell');

/** Emits an event about what `processing` is at work on; `original` is the emitter's own `emit`, `what` its arguments. */
function emitIn(processing, emitter, original, what) {
  const listeners = emitter.rawListeners(what[0]);
  let isOfAsync = false;
  for (const listener of listeners) isOfAsync = isOfAsync || isAsync(listener.listener || listener);
  if (!isOfAsync) followPromises();
  if (!isOfAsync || capturesRejections(emitter)) return handle(processing, original, () => original.apply(emitter, what));
  const values = Array.prototype.slice.call(what, 1);
  // Called as `emit` calls them, for their promises.
  processing.hold();
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

module.exports = { emitIn };
