// The end of promises that the program has, too. They come back to it as they are, and a handler of ours is added only where that
// changes nothing: one that nobody handles is reported by Node when it is rejected, and one that somebody handles is not.
'use strict';

const { AsyncResource } = require('async_hooks');
const { setImmediate } = require('timers');
const { types: { isPromise } } = require('util');
const { promiseHooks } = require('v8');
const { guarded } = require('./tell');

const { then } = Promise.prototype;
const NOTHING = new AsyncResource('tracer-interceptors.promises');
/** Promises that one call makes before it returns, and that are known. */
const MOST_MADE = 10000;

/** Calls that go on right now. */
let calls = 0;
/** The promises that were made in them, and whether they have settled. */
const made = new Map();
/** Whose end is of interest. */
const awaited = new WeakMap();
/** Those of them that have settled, and of which nobody is known who handles them. */
let left = [];
let isFollowing = false;

/** What a function gives that is no `async` one, where that is a promise which it has made. */
class Given {
  constructor() {
    this._promise = undefined;
    /** Whether it had not settled yet. */
    this.hasWaited = false;
    this._over = undefined;
    this._failed = undefined;
  }

  /** Calls `work`, and gives what that gives. */
  by(work) {
    guarded(follow);
    calls += 1;
    try {
      const result = work();
      // One from elsewhere may be that of all messages, or have settled before.
      if (isPromise(result) && made.has(result)) {
        this._promise = result;
        this.hasWaited = !made.get(result);
      }
      return result;
    } finally {
      calls -= 1;
      if (calls === 0) made.clear();
    }
  }

  get isPromise() { return this._promise !== undefined; }

  /** One of them is called when it ends. */
  whenOver(over, failed) {
    this._over = over;
    this._failed = failed;
    awaited.set(this._promise, this);
    if (!this.hasWaited) this.settles();
  }

  /** Somebody handles it. */
  isHandled() { if (isPlain(this._promise)) this._handle(); }

  settles() {
    if (left.push(this) === 1) NOTHING.runInAsyncScope(() => setImmediate(lookAtLeft));
  }

  /** Node has reported by now what nobody handles, so that whoever handles it from now on changes nothing. */
  isLeft() {
    if (!awaited.has(this._promise)) return;
    if (isPlain(this._promise) && process.domain === undefined) this._handle();
    else this._ends(this._over);
  }

  isReported(reason) { this._ends(this._failed, reason); }

  _handle() {
    awaited.delete(this._promise);
    then.call(this._promise, this._over, this._failed);
  }

  _ends(how, reason) {
    awaited.delete(this._promise);
    how(reason);
  }
}

function lookAtLeft() {
  const some = left;
  left = [];
  for (const given of some) guarded(() => given.isLeft());
}

/** From now on it is known of promises that they are made, handled and settled. Node before 16.14 cannot tell. */
function follow() {
  if (isFollowing) return;
  isFollowing = true;
  if (promiseHooks === undefined) return;
  // Tells what is reported. It knows this file.
  require('./events').follow();
  promiseHooks.onInit((promise, parent) => {
    if (calls > 0 && made.size < MOST_MADE) made.set(promise, false);
    const given = parent === undefined ? undefined : awaited.get(parent);
    if (given !== undefined) guarded(() => given.isHandled());
  });
  promiseHooks.onSettled((promise) => {
    if (calls > 0 && made.has(promise)) made.set(promise, true);
    const given = awaited.get(promise);
    if (given !== undefined) guarded(() => given.settles());
  });
}

/** Node is about to report a promise that was rejected, and that nobody handles. */
function reported(promise, reason) {
  const given = isPromise(promise) ? awaited.get(promise) : undefined;
  if (given !== undefined) given.isReported(reason);
}

/** Whether nothing of the program's is called when it is handled: it is of no class, and has no methods, of its own. */
function isPlain(promise) {
  return Object.getPrototypeOf(promise) === Promise.prototype && !Object.prototype.hasOwnProperty.call(promise, 'constructor');
}

module.exports = { Given, reported };
