// Queues of the packages fastq and async: what is put into one is worked at when something before it is done, in the context
// of that one. So it is worked at in its own: that of the message which it is, or for which it was put there.
'use strict';

const { NONE, currentProcessing, isAsync, runLazilyIn } = require('./processing');
const { originOf, remember } = require('./streams');
const { guarded } = require('./tell');

const patched = new WeakSet();

/** fastq([context, ]worker, concurrency), and fastq.promise. */
function patchFastq(fastq) {
  if (typeof fastq !== 'function' ) return fastq;
  const making = (make) => function made(...settings) {
    const at = typeof settings[0] === 'function' ? 0 : 1;
    if (typeof settings[at] === 'function') settings[at] = working(settings[at]);
    const queue = make.apply(this, settings);
    guarded(() => ['push', 'unshift'].forEach((name) => putting(queue, name)));
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
      guarded(() => ['push', 'unshift', 'pushAsync', 'unshiftAsync'].forEach((method) => putting(queue, method)));
      return queue;
    };
  }
  return async;
}

/** A queue's function that puts tasks into it, and may be told of their end. */
function putting(queue, name) {
  const put = queue[name];
  if (typeof put !== 'function') return;
  queue[name] = function putIn(task, ...others) {
    guarded(() => {
      const processing = currentProcessing() || NONE;
      processing.hasLed = true;
      for (const one of Array.isArray(task) ? task : [task]) remember(one);
      others.forEach((other, at) => {
        if (typeof other !== 'function') return;
        others[at] = function told(...what) { return runLazilyIn(processing, () => other.apply(this, what)); };
      });
    });
    return put.call(this, task, ...others);
  };
}

/** A queue's worker, which works at each task for what it was put there for; at what nobody knows, for nobody. */
function working(worker) {
  const within = (self, [task, ...others]) => {
    const processing = guarded(() => originOfAll(task), NONE);
    return runLazilyIn(processing, () => worker.call(self, task, ...others));
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

module.exports = { patchAsync, patchFastq };
