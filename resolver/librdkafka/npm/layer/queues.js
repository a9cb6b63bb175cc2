// Queues of the packages fastq, async, p-limit, p-queue and bottleneck: what is put into one is worked at when something before it
// is done, in the context of that one. So it is worked at in its own: that of the message which it is, or for which it was put there.
'use strict';

const { types: { isPromise } } = require('util');
const { NONE, calledIn, currentProcessing, runLazilyIn } = require('./processing');
const { calledBy, inPlaceOf } = require('./stand_in');
const { originOf, remember } = require('./streams');
const { guarded } = require('./tell');

const patched = new WeakSet();

/** fastq([context, ]worker, concurrency), whose worker has a callback; and fastq.promise, whose worker gives a promise. */
function patchFastq(fastq) {
  const making = (make, callbackAt) => calledBy(make, (self, settings) => {
    const at = typeof settings[0] === 'function' ? 0 : 1;
    const given = [...settings];
    if (typeof given[at] === 'function') given[at] = working(given[at], callbackAt);
    const queue = Reflect.apply(make, self, given);
    for (const name of ['push', 'unshift']) guarded(() => followPut(queue, name, 1));
    return queue;
  });
  if (typeof fastq.promise === 'function' && !patched.has(fastq)) {
    patched.add(fastq);
    guarded(() => { fastq.promise = making(fastq.promise, undefined); });
  }
  return making(fastq, 1);
}

/** async.queue(worker, concurrency) and its like. A cargo's worker is given several tasks. */
function patchAsync(async) {
  const made = new Map();
  // Compilers of modules take the second.
  for (const names of [async, async && async.default]) {
    if (typeof names !== 'object' || names === null || patched.has(names)) continue;
    patched.add(names);
    for (const name of ['queue', 'priorityQueue', 'cargo', 'cargoQueue']) {
      const make = names[name];
      if (typeof make !== 'function') continue;
      if (!made.has(make)) made.set(make, makingOfAsync(make, name === 'priorityQueue' ? 2 : 1));
      names[name] = made.get(make);
    }
  }
}

function makingOfAsync(make, callbackAt) {
  return calledBy(make, (self, [worker, ...settings]) => {
    // As the package tells it. It gives such a worker no callback.
    const isOfAsync = typeof worker === 'function' && worker[Symbol.toStringTag] === 'AsyncFunction';
    const follower = typeof worker === 'function' ? working(worker, isOfAsync ? undefined : 1) : worker;
    const queue = Reflect.apply(make, self, [follower, ...settings]);
    for (const name of ['push', 'unshift', 'pushAsync', 'unshiftAsync']) guarded(() => followPut(queue, name, callbackAt));
    return queue;
  });
}

/** pLimit(concurrency), which gives a function that is given functions. Its later versions keep contexts apart themselves. */
function patchPLimit(pLimit) {
  return calledBy(pLimit, (self, settings) => {
    const limit = Reflect.apply(pLimit, self, settings);
    if (typeof limit !== 'function' || !('activeCount' in limit)) return limit;
    return calledBy(limit, (its, what) => Reflect.apply(limit, its, handingIn(what, 0)));
  });
}

/** A class whose queues are given functions by these methods; `handing` makes what one of those is given into what it is to get. */
function patchClass(Queue, methods) {
  if (typeof Queue !== 'function' || patched.has(Queue)) return;
  const names = Object.keys(methods);
  if (!names.every((name) => Queue.prototype && typeof Queue.prototype[name] === 'function')) return;
  patched.add(Queue);
  for (const name of names) {
    const method = Queue.prototype[name];
    Queue.prototype[name] = inPlaceOf(method, function handed(...what) { return method.apply(this, methods[name](what)); });
  }
}

const METHODS = {
  /** add(task, …) */
  ofPQueue: { add: (what) => handingIn(what, 0) },
  /** schedule([settings, ]task, …) and submit([settings, ]task, …, callback), whose task has a callback as well. */
  ofBottleneck: {
    schedule: (what) => handingIn(what, typeof what[0] === 'function' ? 0 : 1),
    submit: (what) => handingIn(what, typeof what[0] === 'function' ? 0 : 1, true),
  },
};

/** What a method is given, with a task at this place; the rest is passed through to that, but a callback at the end if it `callsBack`. */
function handingIn(what, at, callsBack = false) {
  return guarded(() => {
    const task = what[at];
    if (typeof task !== 'function') return what;
    const processing = leading();
    const given = [...what];
    const last = given.length - 1;
    if (callsBack && last > at && typeof given[last] === 'function') given[last] = calledIn(processing, given[last]);
    given[at] = calledBy(task, (self, taken) => runLazilyIn(processing, () => (
      ending(task, processing, self, taken, callsBack ? taken.length - 1 : undefined)
    )));
    putFor(processing);
    return given;
  }, what);
}

/**
 * Calls a worker, or a task, whose end is known by its callback, or else by its promise: what it was worked at for is closed then,
 * and goes on later at most elsewhere.
 */
function ending(work, processing, self, what, callbackAt) {
  if (processing === NONE) return Reflect.apply(work, self, what);
  if (callbackAt !== undefined) {
    const given = [...what];
    if (typeof given[callbackAt] === 'function') given[callbackAt] = closing(given[callbackAt], processing);
    return Reflect.apply(work, self, given);
  }
  const result = Reflect.apply(work, self, what);
  if (!isPromise(result)) return result;
  // Whoever has it besides, the queue waits for it, and so handles it.
  return result.then((value) => {
    closeTask(processing);
    return value;
  }, (error) => {
    closeTask(processing);
    throw error;
  });
}

function closing(done, processing) {
  return calledBy(done, (self, what) => {
    closeTask(processing);
    return Reflect.apply(done, self, what);
  });
}

function closeTask(processing) { processing.account.endsTask(); }

function putFor(processing) { if (processing !== NONE) processing.account.tasks += 1; }

/** What the code is at work on that puts something into a queue, and has led to that. */
function leading() {
  return currentProcessing() || NONE;
}

/** Follows a queue's function that puts tasks into it, and may be told of their end by what it is given at that place. */
function followPut(queue, name, callbackAt) {
  const put = queue[name];
  if (typeof put !== 'function') return;
  queue[name] = inPlaceOf(put, function putIn(...what) {
    guarded(() => {
      const [task] = what;
      for (const one of Array.isArray(task) ? task : [task]) {
        remember(one);
        putFor(originOf(one) || NONE);
      }
      if (typeof what[callbackAt] === 'function') what[callbackAt] = calledIn(leading(), what[callbackAt]);
    });
    return put.apply(this, what);
  });
}

/** A queue's worker, which works at each task for what it was put there for; at what nobody knows, for nobody. */
function working(worker, callbackAt) {
  return calledBy(worker, (self, what) => {
    const processing = guarded(() => originOfAll(what[0]), NONE);
    return runLazilyIn(processing, () => ending(worker, processing, self, what, callbackAt));
  });
}

function originOfAll(task) {
  if (!Array.isArray(task)) return originOf(task) || NONE;
  const [first, ...others] = task.map(originOf);
  return first !== undefined && others.every((other) => other === first) ? first : NONE;
}

module.exports = { METHODS, patchAsync, patchClass, patchFastq, patchPLimit };
