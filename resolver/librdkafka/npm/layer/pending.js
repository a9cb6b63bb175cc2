// Whether something of a message's is still under way although nobody waits for its function: promises that were made in its context,
// and have not settled. They cost all promises of the process something, so they are counted only where a program needs it.
'use strict';

const { promiseHooks } = require('v8');
const { count } = require('./others');
const { NONE, current } = require('./processing');
const { guarded } = require('./tell');

/** Whose they are. */
const accounts = new WeakMap();
let isFollowing = false;

/** From now on they are counted. Older versions of Node cannot do it. */
function follow() {
  if (isFollowing) return;
  isFollowing = true;
  if (promiseHooks === undefined) return;
  count();
  promiseHooks.onInit((promise) => {
    const processing = current.getStore();
    if (processing === undefined || processing === NONE) return;
    accounts.set(promise, processing.account);
    guarded(() => processing.account.pends(1));
  });
  promiseHooks.onSettled((promise) => {
    const account = accounts.get(promise);
    if (account === undefined) return;
    accounts.delete(promise);
    guarded(() => account.pends(-1));
  });
}

module.exports = { follow };
