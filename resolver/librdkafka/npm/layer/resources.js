// What is no proof of its cause, though Node runs it in the context of a message: what serves all, or was handed in by others.
//
// - What outlives the message that it was made for: an interval, a socket, a server, a worker. It is called for whatever comes.
//   A request, a look-up or a timer that comes once goes on with what it was begun for.
// - What a timer, or its like, calls for an `async` function that waits. Such a function says by promises what it waits for;
//   what it sets aside beside them may be the batch of all.
// - What goes on after it has settled a promise that the message's code waits for. It has given its result, and that code goes
//   on elsewhere; so it is what runs the next one's task, as a queue does.
'use strict';

const { createHook, executionAsyncId, executionAsyncResource } = require('async_hooks');
const otel = require('./opentelemetry');
const { NONE, current } = require('./processing');
const { isOurs, stack } = require('./stack');
const { guarded } = require('./tell');

/** Node's names for them. */
const LONG_LIVED = new Set([
  'FSEVENTWRAP', 'HTTP2SESSION', 'JSSTREAM', 'MESSAGEPORT', 'PIPESERVERWRAP', 'PIPEWRAP', 'PROCESSWRAP', 'SIGNALWRAP',
  'STATWATCHER', 'TCPSERVERWRAP', 'TCPWRAP', 'TLSWRAP', 'TTYWRAP', 'UDPWRAP', 'WORKER',
]);
/** What is called a little later, once; the second two are used by Node itself as well, for what comes of requests. */
const SET_ASIDE = new Set(['Immediate', 'Timeout']);
const SET_ASIDE_BY_ALL = new Set(['Microtask', 'TickObject']);
/** Frames above the caller of `nextTick` and `queueMicrotask`: those of Node's hooks, and ours. */
const MAKING_FRAMES = 10;
const MAKERS = new Set(['node:async_hooks', 'node:internal/async_hooks', 'node:internal/process/task_queues']);
/** Promises of which it is known at once who waits for them; twice as many at most. Some are never settled. */
const MOST_WAITED_FOR = 5000;

/** Those that were made while a message was current. */
const longLived = new WeakSet();
const setAside = new WeakSet();
/** Whose code waits for a promise, by its number: those that came last, and those before them. */
let waiters = new Map();
let earlierWaiters = new Map();

/** From now on they are known. A program that is given no messages does not pay for it: Node then calls us for each promise. */
function follow() { making.enable(); }

const making = createHook({
  init(id, type, trigger, resource) {
    const processing = current.getStore();
    if (processing === undefined || processing === NONE) return;
    if (type === 'PROMISE') return promised(processing, trigger);
    processing.hasLed = true;
    if (LONG_LIVED.has(type) || repeats(type, resource)) longLived.add(resource);
    else if (SET_ASIDE.has(type) || (SET_ASIDE_BY_ALL.has(type) && guarded(isMadeByProgram))) setAside.add(resource);
    else return;
    calls.enable();
  },
  promiseResolve(id) {
    const waiter = waiters.get(id) || earlierWaiters.get(id);
    if (waiter === undefined) return;
    waiters.delete(id);
    if (waiter === current.getStore()) leave();
  },
});

/** A promise was made for a message: one that another one settles, or else one that somebody settles. */
function promised(processing, trigger) {
  if (trigger === executionAsyncId()) return;
  processing.hasLed = true;
  if (waiters.size >= MOST_WAITED_FOR) {
    earlierWaiters = waiters;
    waiters = new Map();
  }
  waiters.set(trigger, processing);
}

const calls = createHook({
  trackPromises: false,
  before() {
    const resource = executionAsyncResource();
    if (longLived.has(resource) || (setAside.has(resource) && isOfAwaited(current.getStore()))) leave();
  },
});

function isOfAwaited(processing) { return processing !== undefined && processing.isAwaited; }

/** What follows in this piece of execution, and what it begins, is for no message that is known. */
function leave() {
  current.enterWith(NONE);
  guarded(otel.leaveOurs);
}

/** An interval; or a timer, or its like, that sets itself again. */
function repeats(type, resource) {
  if (type === 'Timeout') {
    return typeof resource._repeat === 'number' || resource._onTimeout === executionAsyncResource()._onTimeout;
  }
  return type === 'Immediate' && resource._onImmediate === executionAsyncResource()._onImmediate;
}

/** Whether it is the program, and not Node itself, that makes what is made now. */
function isMadeByProgram() {
  const frames = stack(MAKING_FRAMES) || [];
  const caller = frames.find((frame) => !isOurs(frame) && !MAKERS.has(frame.getFileName()));
  return caller !== undefined && !String(caller.getFileName()).startsWith('node:');
}

module.exports = { follow };
