// What outlives the message that it was made for: an interval, a socket, a server, a worker. Node calls it in the context
// that it was made in, for whatever comes, so what it does is for no message that is known.
//
// A request, a look-up or a timer that comes once goes on with what it was begun for.
'use strict';

const { createHook, executionAsyncResource } = require('async_hooks');
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

/** From now on they are known. */
function follow() {
  if (isFollowing) return;
  isFollowing = true;
  making.enable();
}

const making = createHook({
  // Later versions of Node need not tell of promises.
  trackPromises: false,
  init(id, type, trigger, resource) {
    if (type === 'PROMISE') return;
    const processing = current.getStore();
    if (processing === undefined || processing === NONE) return;
    if (!LONG_LIVED.has(type) && !repeats(type, resource)) return;
    made.add(resource);
    calls.enable();
  },
});

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

module.exports = { follow };
