// What is no proof of its cause, though Node runs it in the context of a message: what serves all, or was handed in by others.
//
// - What outlives the message that it was made for: an interval, a socket, a server, a worker. It is called for whatever comes.
//   A request, a look-up or a timer that comes once goes on with what it was begun for.
// - What a timer, or its like, calls for an `async` function that waits. Such a function says by promises what it waits for;
//   what it sets aside beside them may be the batch of all.
'use strict';

const { AsyncResource, createHook, executionAsyncResource } = require('async_hooks');
const { CALLED } = require('./habits');
const otel = require('./opentelemetry');
const { CALL, REQUEST, TIMER } = require('./others');
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
const MAKING_FRAMES = 14;
const MAKERS = new Set(['node:async_hooks', 'node:internal/async_hooks', 'node:internal/process/task_queues']);
/** Where one has the message that it is to come back to. */
const TO_COME = Symbol('tracer-interceptors.to-come');
const KIND = Symbol('tracer-interceptors.kind');

/** Beside the kind: it is set aside. */
const IS_SET_ASIDE = 4;

/** Those that were made while a message was current. */
const longLived = new WeakSet();

/** From now on they are known. A program that is given no messages does not pay for it. */
function follow() { making.enable(); }

const making = createHook({
  trackPromises: false,
  // What throws in a hook ends the process.
  init(id, type, trigger, resource) { if (type !== 'PROMISE') guarded(made, undefined, type, resource); },
  before() { guarded(comes); },
});

function made(type, resource) {
  const processing = current.getStore();
  if (processing === undefined || processing === NONE) return;
  if (LONG_LIVED.has(type) || repeats(type, resource)) {
    longLived.add(resource);
    return;
  }
  const isSetAside = SET_ASIDE.has(type) || (SET_ASIDE_BY_ALL.has(type) && guarded(isMadeByProgram));
  const kind = !isSetAside ? REQUEST : settlesPromise(type, resource) ? TIMER : CALL;
  keep(resource, kind === CALL ? CALLED : TO_COME, processing.account);
  keep(resource, KIND, isSetAside ? kind | IS_SET_ASIDE : kind);
  processing.account.begins(kind, SET_ASIDE.has(type) ? resource : undefined);
}

function keep(resource, name, value) {
  // The program's own are not to look different.
  if (resource instanceof AsyncResource) Object.defineProperty(resource, name, { value, configurable: true, writable: true });
  else resource[name] = value;
}

function comes() {
  const resource = executionAsyncResource();
  const account = resource[TO_COME] || resource[CALLED];
  const kind = resource[KIND];
  if (account !== undefined) account.comes(kind & ~IS_SET_ASIDE, resource);
  if (resource[CALLED] !== undefined) resource[CALLED] = undefined;
  else if (resource[TO_COME] !== undefined) resource[TO_COME] = undefined;
  if (longLived.has(resource) || ((kind & IS_SET_ASIDE) !== 0 && isOfAwaited(current.getStore()))) leave();
}

/** Whether what is to be called is what `new Promise` gave. Such a function has no name, and takes a value that no timer gives. */
function settlesPromise(type, resource) {
  const callback = type === 'Timeout' ? resource._onTimeout : resource._onImmediate;
  return typeof callback === 'function' && callback.name === '' && callback.length === 1;
}

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
