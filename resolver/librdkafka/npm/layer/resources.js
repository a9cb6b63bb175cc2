// What outlives the message that it was made for: an interval, a socket, a server, a worker. Node calls it in the context
// that it was made in, for whatever comes, so what it does is for no message that is known.
//
// A request, a look-up or a timer that comes once goes on with what it was begun for.
'use strict';

const { createHook, executionAsyncId, executionAsyncResource } = require('async_hooks');
const otel = require('./opentelemetry');
const { NONE, current } = require('./processing');
const { guarded } = require('./tell');

/** Node's names for them. */
const LONG_LIVED = new Set([
  'FSEVENTWRAP', 'HTTP2SESSION', 'JSSTREAM', 'MESSAGEPORT', 'PIPESERVERWRAP', 'PIPEWRAP', 'PROCESSWRAP', 'SIGNALWRAP',
  'STATWATCHER', 'TCPSERVERWRAP', 'TCPWRAP', 'TLSWRAP', 'TTYWRAP', 'UDPWRAP', 'WORKER',
]);

/** Those that were made while a message was current. */
const made = new WeakSet();
let isFollowing = false;
let isFollowingPromises = typeof current._propagate === 'function';

/** From now on they are known. */
function follow() {
  if (isFollowing) return;
  isFollowing = true;
  making.enable();
}

/** From now on it is also known for which messages nothing goes on, while their code has not said that they are done. */
function followPromises() {
  if (isFollowingPromises) return;
  isFollowingPromises = true;
  promises.enable();
}

// Node 22 and before, which follows what is current by promises' hooks anyway, tells of them here as well.
const making = createHook({
  trackPromises: false,
  init(id, type, trigger, resource) {
    const processing = current.getStore();
    if (processing === undefined || processing === NONE) return;
    if (type === 'PROMISE') return continues(processing, trigger);
    processing.hasLed = true;
    if (!LONG_LIVED.has(type) && !repeats(type, resource)) return;
    made.add(resource);
    calls.enable();
  },
});

const promises = createHook({
  init(id, type, trigger) {
    const processing = type === 'PROMISE' ? current.getStore() : undefined;
    if (processing !== undefined) continues(processing, trigger);
  },
});

/** A promise was made for it, which another one settles; or else it is only what somebody returns. */
function continues(processing, trigger) {
  if (trigger !== executionAsyncId()) processing.hasLed = true;
}

const calls = createHook({
  trackPromises: false,
  before() {
    if (!made.has(executionAsyncResource())) return;
    current.enterWith(NONE);
    guarded(otel.leaveOurs);
  },
});

/** An interval; or a timer, or its like, that sets itself again. */
function repeats(type, resource) {
  if (type === 'Timeout') {
    return typeof resource._repeat === 'number' || resource._onTimeout === executionAsyncResource()._onTimeout;
  }
  return type === 'Immediate' && resource._onImmediate === executionAsyncResource()._onImmediate;
}

module.exports = { follow, followPromises };
