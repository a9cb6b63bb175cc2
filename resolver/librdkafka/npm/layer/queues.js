// Queues of the packages fastq, async, p-limit, p-queue and bottleneck: what is put into one is worked at when something before it
// is done, in the context of that one. So it is worked at in its own: that of the message which it is, or for which it was put there.
'use strict';

const { NONE, calledIn, currentProcessing, isAsync, runLazilyIn } = require('./processing');
const { originOf, remember } = require('./streams');
const { guarded } = require('./tell');

const patched = new WeakSet();

/** fastq([context, ]worker, concurrency), and fastq.promise. */
function patchFastq(fastq) {
  if (typeof fastq !== 'function') return fastq;
  const making = (make) => function made(...settings) {
    const at = typeof settings[0] === 'function' ? 0 : 1;
    if (typeof settings[at] === 'function') settings[at] = working(settings[at]);
    const queue = make.apply(this, settings);
    guarded(() => ['push', 'unshift'].forEach((name) => followPut(queue, name)));
    return queue;
  };
  const all = Object.assign(making(fastq), fastq);
  if (typeof fastq.promise === 'function') all.promise = making(fastq.promise);
  return all;
}

/** async.queue(worker, concurrency) and its like. A cargo's worker is given several tasks. */
function patchAsync(async) {
  if (typeof async !== 'object' || async === null || patched.has(async)) return async;
  patched.add(async);
  for (const name of ['queue', 'priorityQueue', 'cargo', 'cargoQueue']) {
    const make = async[name];
    if (typeof make !== 'function') continue;
    async[name] = function made(worker, ...settings) {
      const queue = make.call(this, typeof worker === 'function' ? working(worker) : worker, ...settings);
      guarded(() => ['push', 'unshift', 'pushAsync', 'unshiftAsync'].forEach((method) => followPut(queue, method)));
      return queue;
    };
  }
  return async;
}

/** pLimit(concurrency), which gives a function that is given functions. Its later versions keep contexts apart themselves. */
function patchPLimit(pLimit) {
  if (typeof pLimit !== 'function') return pLimit;
  return Object.assign(function made(...settings) {
    const limit = pLimit.apply(this, settings);
    return Object.defineProperties(handingIn(limit), Object.getOwnPropertyDescriptors(limit));
  }, pLimit);
}

/** Classes whose queues are given functions by these methods. */
function patchClass(Queue, methods) {
  if (typeof Queue !== 'function' || patched.has(Queue)) return;
  patched.add(Queue);
  for (const name of methods) {
    if (typeof Queue.prototype[name] === 'function') Queue.prototype[name] = handingIn(Queue.prototype[name]);
  }
}

/** A worker, or a task, whose end is known: what it was worked at for is closed then, and goes on later at most elsewhere. */
function ending(work, processing) {
  return function worked(...what) {
    const last = what.length - 1;
    if (typeof what[last] === 'function') what[last] = closing(what[last], processing);
    const result = work.apply(this, what);
    if (!(result instanceof Promise)) return result;
    // Nobody but the queue has this promise.
    return result.then((value) => {
      closeTask(processing);
      return value;
    }, (error) => {
      closeTask(processing);
      throw error;
    });
  };
}

function closing(done, processing) {
  return function over(...what) {
    closeTask(processing);
    return done.apply(this, what);
  };
}

function closeTask(processing) { if (processing !== NONE) processing.account.endsTask(); }

function putFor(processing) { if (processing !== NONE) processing.account.tasks += 1; }

/** A function that is given a task as a function, the first one, and may be given a callback, the last one. */
function handingIn(method) {
  return function handed(...what) {
    guarded(() => {
      const processing = leading();
      const task = what.findIndex((one) => typeof one === 'function');
      for (const at of new Set([task, what.length - 1])) {
        if (typeof what[at] === 'function') what[at] = calledIn(processing, what[at]);
      }
      if (task === -1) return;
      putFor(processing);
      what[task] = ending(what[task], processing);
    });
    return method.apply(this, what);
  };
}

/** What the code is at work on that puts something into a queue, and has led to that. */
function leading() {
  const processing = currentProcessing() || NONE;
  return processing;
}

/** Follows a queue's function that puts tasks into it, and may be told of their end. */
function followPut(queue, name) {
  const put = queue[name];
  if (typeof put !== 'function') return;
  queue[name] = function putIn(task, ...others) {
    guarded(() => {
      const processing = leading();
      for (const one of Array.isArray(task) ? task : [task]) {
        remember(one);
        putFor(originOf(one) || NONE);
      }
      others.forEach((other, at) => {
        if (typeof other === 'function') others[at] = calledIn(processing, other);
      });
    });
    return put.call(this, task, ...others);
  };
}

/** A queue's worker, which works at each task for what it was put there for; at what nobody knows, for nobody. */
function working(worker) {
  const within = (self, [task, ...others]) => {
    const processing = guarded(() => originOfAll(task), NONE);
    return runLazilyIn(processing, () => ending(worker, processing).call(self, task, ...others));
  };
  // Both packages tell by this how to call it.
  return isAsync(worker)
    ? async function work(...what) { return within(this, what); }
    : function work(...what) { return within(this, what); };
}

function originOfAll(task) {
  if (!Array.isArray(task)) return originOf(task) || NONE;
  const [first, ...others] = task.map(originOf);
  return first !== undefined && others.every((other) => other === first) ? first : NONE;
}

module.exports = { patchAsync, patchClass, patchFastq, patchPLimit };
