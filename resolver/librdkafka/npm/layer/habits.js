// Whether a place in the program sends for the message that is current, where that may be another one: known by its habits.
//
// A place is the stack of the code that sends. One that each message passes once sends for each; one that a message passes
// several times, while others lie still and never pass it, sends for those too: there runs a batch or a queue. Until a place has
// shown which it is, nothing is said of what it sends.
'use strict';

const { createHook, executionAsyncId, executionAsyncResource } = require('async_hooks');
const { stack } = require('./stack');

/** Frames of a place: its own, and those that called it. */
const FRAMES = 10;
/** Places that are known at once; then they are learnt anew. */
const MOST_PLACES = 1000;
/** Messages that have passed a place once and are done, until it is trusted. */
const SINGLES = 2;
/** The same where nobody tells whether they are done: one counts for more where no older one lies still, or if it came since. */
const FIRSTS = 20;
const OLDEST = 4;
const SINCE = 2;
/** Messages of which it is waited for whether they pass again. */
const MOST_OPEN = 5;
/** Messages that are done and have passed a place that bunches, while all have that settled, until it is trusted. */
const CLOSED = 3;

/** What has this is a timer, or its like, that calls a function of the program. */
const CALLED = Symbol('tracer-interceptors.called');

/** How many messages, one after the other, were trusted that were sent to a topic. */
const trusted = new Map();
/** From here on they are taken for what is usual. */
const USUAL = 64;

const places = new Map();
/** Messages whose promise has settled. */
let settled = 0;
/** Places that a message has passed several times. */
const bunching = new Set();

class Place {
  /** `frames`: a number for each of the frames, which tells those from the innermost one to it. */
  constructor(frames) {
    this._frames = frames;
    /** Messages that have passed, some of which count for several. */
    this.firsts = 0;
    /** How many messages were handed out when the last one passed. */
    this.handed = 0;
    /** The piece of execution in which it did. */
    this.execution = undefined;
    /** Those that passed once, and are done. */
    this.singles = 0;
    /** Those of which it is not known yet: `[account, pass]`. */
    this.open = [];
    /** How many messages had settled before it was known. */
    this._settledBefore = settled;
    /** How many have settled that passed it; of these, how many have waited, and have passed it several times. */
    this.settled = 0;
    this.closed = 0;
    /** Messages of this consumer that lay still before that number have got what was sent here for others. */
    this._others = undefined;
    this._from = 0;
  }

  /** Whether it is known that what `account` sends here is for its own message. */
  pass(account) {
    const execution = executionAsyncId();
    const before = account.passes && account.passes.get(this);
    return before ? this._again(account, before, execution) : this._first(account, execution);
  }

  /** Whether one is the rest of the other: an `async` function is called by others only until it waits. */
  _isPartOf(other) {
    const [some, more] = this._frames.length < other._frames.length ? [this, other] : [other, this];
    const at = some._frames.length - 1;
    return at >= 0 && some._frames[at] === more._frames[at];
  }

  _first(account, execution) {
    this.open = this.open.filter(([one, pass]) => {
      if (!one.isClosed && !(pass.hasReturned && !one.goesOn)) return true;
      if (pass.times === 1) this.singles += 1;
      return false;
    });
    if (account.passes !== undefined) {
      for (const other of account.passes.keys()) if (this._isPartOf(other)) bunching.add(this).add(other);
    }
    const isTrusted = bunching.has(this) ? this._fansOut() : this.singles >= SINGLES || this.firsts >= FIRSTS;
    const pass = { times: 1, execution, hasReturned: false };
    if (account.passes === undefined) account.passes = new Map();
    account.passes.set(this, pass);
    if (!isTrusted) this._learn(account, pass);
    return isTrusted;
  }

  _learn(account, pass) {
    // Of several batches that are worked at side by side each may have passed once; but they hold older messages.
    if (!account.others.hasOlderStill(account)) this.firsts += OLDEST;
    else this.firsts += account.number > this.handed && pass.execution !== this.execution ? SINCE : 1;
    this.handed = account.others.handed;
    this.execution = pass.execution;
    if (this.open.length < MOST_OPEN) this.open.push([account, pass]);
    if (account.inCalls > 0) watch(account, pass);
  }

  fromOf(others) { return this._others === others ? this._from : 0; }

  _again(account, pass, execution) {
    const isAtOnce = pass.execution === execution;
    pass.execution = execution;
    pass.times += 1;
    bunching.add(this);
    const { others } = account;
    if (isAtOnce && others.allLieStill()) {
      this._from = others.next(this.fromOf(others), account) || this.fromOf(others);
      this._others = others;
    }
    return isAtOnce && this._fansOut();
  }

  /** Whether messages pass it several times for themselves. */
  _fansOut() { return this.closed >= CLOSED && settled - this._settledBefore === this.settled; }
}

/** Messages whose code has sent something before it returns, and of which it is to be known whether it goes on then. */
const watched = new Map();

/** Code that goes on later makes a promise for it, or waits for something of its own. */
const promises = createHook({
  init(id, type) {
    if (type !== 'PROMISE') return;
    for (const account of watched.keys()) account.goesOn = true;
  },
});

function watch(account, pass) {
  if (watched.size === 0) promises.enable();
  if (!watched.has(account)) watched.set(account, []);
  watched.get(account).push(pass);
}

/** What Node or the client called for a message has returned. */
function returned(account) {
  const passes = watched.get(account);
  if (passes === undefined || account.inCalls > 0) return;
  watched.delete(account);
  if (watched.size === 0) promises.disable();
  if (account.waitsForOwn()) account.goesOn = true;
  for (const pass of passes) pass.hasReturned = true;
}

/** Whether what is sent to `topic` now, in the code of this message, is for it. */
function isForItself(account, topic) {
  if (account.isSaid) {
    account.sentTo(topic);
    return true;
  }
  const isCalled = CALLED in executionAsyncResource();
  let isSure = !account.others.mayGet(account, topic, isCalled);
  if ((!isSure && !isUsual(account, topic, isCalled)) || bunching.size > 0) {
    const place = placeOf();
    isSure = isSure || (bunching.has(place) && !account.others.mayGet(account, topic, isCalled, place.fromOf(account.others)));
    // It is passed in any case.
    const isTrusted = place.pass(account);
    if (trusted.size >= MOST_PLACES) trusted.clear();
    if (!isSure) trusted.set(topic, isTrusted ? (trusted.get(topic) || 0) + 1 : 0);
    isSure = isSure || isTrusted;
  } else {
    isSure = true;
  }
  account.sentTo(topic);
  return isSure;
}

/**
 * Whether the place need not be asked, which costs more than all the rest: those that send there are trusted all, no place has
 * ever bunched, and the message is older than all that it could be for, as the one that fills a batch is not.
 */
function isUsual(account, topic, isCalled) {
  return account.sends === 0 && trusted.get(topic) >= USUAL && !account.others.hasOlder(account, isCalled);
}

/** The promise for a message has settled, and not at once if `hasWaited`. */
function closed(account, hasWaited) {
  account.isClosed = hasWaited;
  settled += 1;
  if (account.passes === undefined) return;
  for (const [place, { times }] of account.passes) {
    place.settled += 1;
    if (hasWaited && times > 1) place.closed += 1;
  }
}

/** The place of the code that runs. */
function placeOf() {
  let number = 0;
  const numbers = [];
  for (const frame of stack(FRAMES, isForItself) || []) {
    if (frame.isAsync()) break;
    // How Node came to it is not of its habits.
    const file = frame.getFileName();
    if (!file || file.startsWith('node:')) continue;
    number = (number * 31 + frame.getPosition()) | 0;
    numbers.push(number);
  }
  let place = places.get(number);
  if (place === undefined) {
    if (places.size >= MOST_PLACES) {
      places.clear();
      trusted.clear();
      bunching.clear();
    }
    place = new Place(numbers);
    places.set(number, place);
  }
  return place;
}

module.exports = { CALLED, closed, isForItself, returned };
