// Loops over messages: one message after the other is current for the code of the loop, and for nobody else.
//
// A loop is not called for each message. What it enters for one is current until the code that runs returns to Node. Where
// that is at once, because nobody but the loop runs in this turn of the event loop, or because the layer itself has called the
// function with the loop and puts back what was current, nothing else is to be done. Where the program has called the function,
// it may wait at a message, and its caller goes on in the same turn. It is seen when it begins to wait, since V8 makes a
// promise for that, and makes it right in the frame of the function: then the caller gets back what was current before. While
// the function runs every frame above it is of its own.
'use strict';

const { createHook, executionAsyncId } = require('async_hooks');
const otel = require('./opentelemetry');
const { NONE, current } = require('./processing');
const { isOurs, stack } = require('./stack');
const { guarded } = require('./tell');

/** Frames of a stack that is looked at; in a deeper one nothing is current. */
const MOST_FRAMES = 200;
/** Frames on top of the one that makes a promise: those of Node's hooks, and ours. */
const HOOK_FRAMES = 12;
/** Continuations that are waited for at once. */
const MOST_AWAITED = 10000;

const HOOKS = 'node:internal/async_hooks';
/** From here Node calls what has come up, each with a context of its own. */
const CALLERS = new Set(['node:internal/timers', 'node:internal/process/task_queues']);

/** What one message after the other is current in, for a loop. */
class Turn {
  constructor() {
    this._entered = undefined;
    this._storeBefore = undefined;
    this._contextBefore = undefined;
    this._isShared = false;
    /** What was entered is left, and nobody knows where. */
    this.isLost = false;
    /** The loop's frame is watched in this piece of execution; undefined: nobody is to be kept from what it enters. */
    this._watched = undefined;
    /** The piece of execution that the frames were looked at in. */
    this._lookedAtIn = undefined;
    /** Nobody else ran where they were looked at last, and the loop is no generator's. */
    this._isAlone = false;
    /** The loop came for the next message in the context of the one before. */
    this._cameBack = false;
  }

  enter(processing) {
    if (!processing || !this._isLookedAt()) return;
    this._entered = processing;
    processing.turn = this;
    processing.account.opens(true);
    processing.account.handed();
    processing.hold();
    processing.begin();
    this._storeBefore = current.getStore();
    if (otel.isThere()) this._contextBefore = otel.enter(otel.contextWith(processing));
    current.enterWith(processing);
  }

  leave() {
    const entered = this._entered;
    this._cameBack = false;
    if (!entered) return;
    this._entered = undefined;
    const here = current.getStore();
    if (here === entered) {
      this._cameBack = true;
      this._putBack();
    } else if (here !== undefined && here.turn === this) {
      // Several loops share a generator, and this one comes back with what it entered before others did.
      this._isShared = true;
      current.enterWith(NONE);
      otel.leaveOurs();
    }
    this._contextBefore = undefined;
    entered.account.opens(false);
    entered.release();
  }

  isOver() {
    this.leave();
    // The others do not come here any more, and are at none of their messages.
    this.isLost = this._isShared;
    if (this._watched) unwatch(this._watched);
    this._watched = undefined;
  }

  _putBack() {
    current.enterWith(this._storeBefore);
    otel.enter(this._contextBefore);
  }

  /** Whether it is known for whom what is entered now is current. */
  _isLookedAt() {
    // After it has waited, Node calls the function itself.
    if (this._isAlone && this._cameBack) return true;
    const execution = executionAsyncId();
    if (this._lookedAtIn === execution && (!this._watched || this._watched.isOpen)) return true;
    this._lookedAtIn = undefined;
    const loop = lookAt(stack(MOST_FRAMES));
    if (!loop) return false;
    this._lookedAtIn = loop.isGenerator ? undefined : execution;
    this._isAlone = loop.isAlone;
    this._watched = loop.isAlone ? undefined : watch(loop, execution, this);
    return true;
  }

  /** The function with the loop waits from now on: `promise` is that of its continuation. */
  waits(promise) {
    const entered = this._entered;
    if (!entered || current.getStore() !== entered) return;
    if (!IS_COPIED_BEFORE) awaits(promise, entered, otel.isThere() ? otel.active() : undefined);
    this._putBack();
  }
}

/** Where in the program a loop is that asks for its next message; undefined where that cannot be known. */
function lookAt(frames) {
  if (!frames || frames.length >= MOST_FRAMES) return undefined;
  const running = frames.filter((frame) => !frame.isAsync());
  const at = running.findIndex((frame) => !isOurs(frame));
  if (at === -1) return undefined;
  const isGenerator = isGeneratorAt(running, at);
  const outer = running.slice(at + 1);
  // A generator may be asked by anybody, for what it makes of the messages.
  const isAlone = !isGenerator
    && (outer.length === 0 || isOurs(outer[0]) || outer.every((frame) => CALLERS.has(frame.getFileName())));
  return { depth: running.length - at, isGenerator, isAlone };
}

/** The loops that the program may leave in this turn, the innermost last. */
const watched = [];

function watch({ depth, isGenerator }, execution, turn) {
  dropOthers(execution);
  const loop = { depth, isGenerator, execution, turn, isOpen: true };
  if (watched.push(loop) === 1) {
    // Node copies what is current to the promise first, where it does so by a hook.
    current.enterWith(current.getStore());
    promises.enable();
  }
  return loop;
}

function unwatch(loop) {
  loop.isOpen = false;
  const at = watched.indexOf(loop);
  if (at === -1) return;
  watched.splice(at, 1);
  if (watched.length === 0) promises.disable();
}

/** Whatever ran before this piece of execution is over. */
function dropOthers(execution) {
  for (const loop of [...watched]) if (loop.execution !== execution) unwatch(loop);
}

const promises = createHook({
  init(promise, type, parent) {
    // One that follows from no other is no continuation.
    if (type === 'PROMISE' && parent !== executionAsyncId()) guarded(() => continued(promise));
  },
});

/** A promise was made that follows from another one, and with it a continuation of who made it. */
function continued(promise) {
  dropOthers(executionAsyncId());
  if (watched.length === 0) return;
  const deepest = Math.max(...watched.map(({ depth }) => depth));
  const frames = stack(deepest + HOOK_FRAMES);
  const running = frames ? frames.filter((frame) => !frame.isAsync()) : [];
  const at = running.findIndex((frame) => !isOurs(frame) && frame.getFileName() !== HOOKS);
  const depth = at === -1 ? 0 : running.length - at;
  if (depth > deepest) return;
  for (const loop of [...watched].reverse()) {
    if (!isLeftBy(loop, depth, running, at)) continue;
    unwatch(loop);
    loop.turn.waits(promise);
  }
}

/** Whether the function with the loop has begun to wait when the innermost of these frames makes a continuation. */
function isLeftBy(loop, depth, running, at) {
  if (!loop.isGenerator || depth < loop.depth - 1) return depth <= loop.depth;
  // Whoever asks a generator works at what it gives. What drives one, as compilers do for `async`, goes on by `then`; one that
  // waits itself gives nothing in this turn.
  return depth <= loop.depth && (isBuiltIn(running[at], 'then') || isGeneratorAt(running, at));
}

function isGeneratorAt(running, at) { return !isBuiltIn(running[at]) && isBuiltIn(running[at + 1], 'next'); }

function isBuiltIn(frame, name) {
  if (frame === undefined || frame.getFileName()) return false;
  return name === undefined || frame.getFunctionName() === name;
}

/** Whether Node copies what is current to a promise before its hooks are called. Later versions do it after them. */
const IS_COPIED_BEFORE = typeof current._propagate === 'function';
/** What is to be current in continuations, until they come. */
const awaited = new Map();

const continuations = createHook({
  before(promise) {
    const continuation = awaited.get(promise);
    if (!continuation) return;
    guarded(() => {
      forget(promise);
      current.enterWith(continuation.entered);
      otel.enter(continuation.context);
    });
  },
});

function awaits(promise, entered, context) {
  // One that never comes.
  if (awaited.size >= MOST_AWAITED) forget(awaited.keys().next().value);
  awaited.set(promise, { entered, context });
  if (awaited.size === 1) continuations.enable();
}

function forget(promise) {
  awaited.delete(promise);
  if (awaited.size === 0) continuations.disable();
}

module.exports = { Turn };
