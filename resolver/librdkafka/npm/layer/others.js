// Which other message a send may be for. Code that is at work on one message may run what another one has put somewhere: a queue,
// a batch, a list of callbacks. Nothing in contexts tells it from the message's own code. But the other message then lies still:
// nothing of its own will come back to it, no timer and no request, and less was sent for it. Where no other lies still so, what
// is sent is for the message that is current.
'use strict';

/** Messages that lie still and are kept; the oldest are forgotten. */
const MOST_STILL = 1000;
/** Of those that something was sent for, only so many are looked at. */
const MOST_SERVED = 32;
/** Messages whose timers are looked at, at each send from a timer. */
const LOOKED_AT = 4;
/** How often something came back to a message is counted up to this. */
const MOST_STEPS = 15;

/** What is known of a message while others are looked at: little, since it may outlive the message. */
class Account {
  constructor() {
    /** Its requests that are to come back, its timers that settle a promise, and functions that a timer, or its like, is to call. */
    this.toCome = [0, 0, 0];
    /** Those of the last that can be cancelled. */
    this.timers = undefined;
    /** How much of it came. */
    this.steps = 0;
    this.sends = 0;
    /** Where something was sent to: one name, or a set of them. */
    this.topics = undefined;
    /** The program was given it, and has returned to Node or waits for a promise. */
    this.isHanded = false;
    /** Its number among those; of one that is called right now, that of the next one. */
    this.number = handedOut + 1;
    /** What it was handed to has waited, and has settled. */
    this.isClosed = false;
    /** The program itself says what is done for it. */
    this.isSaid = false;
    /** How often its code is on the stack as what Node or the client called. */
    this.inCalls = 0;
    /** Its code makes promises after it has sent something, and may send more. */
    this.goesOn = false;
    /** Where its code has sent: see `habits.js`. */
    this.passes = undefined;
    /** Nothing was sent for it, and something is to come back to it. */
    this.isBusy = false;
    /** It is one of those that something was sent for. */
    this.isServed = false;
    /** Its number among those that lie still. */
    this.stillAt = undefined;
    /** The steps that it is counted with among those that sleep. */
    this.asleep = undefined;
  }

  handed() {
    if (!this.isHanded) {
      handedOut += 1;
      this.number = handedOut;
    }
    this.isHanded = true;
    this._changed();
  }

  /** Something is to come back to it; `timer` if it can be cancelled. */
  begins(kind, timer) {
    this.toCome[kind] += 1;
    if (timer !== undefined) (this.timers = this.timers || new Set()).add(timer);
    this._changed();
  }

  comes(kind, timer) {
    this.steps += 1;
    this._isGone(kind, timer);
  }

  _isGone(kind, timer) {
    this.toCome[kind] -= 1;
    if (this.timers !== undefined) this.timers.delete(timer);
    this._changed();
  }

  sentTo(topic) {
    this.sends += 1;
    if (this.topics === undefined) this.topics = topic;
    else if (this.topics instanceof Set) this.topics.add(topic);
    else if (this.topics !== topic) this.topics = new Set([this.topics, topic]);
    if (this.sends > 1) return;
    this._changed();
  }

  hasSentTo(topic) { return this.topics === topic || (this.topics instanceof Set && this.topics.has(topic)); }

  _changed() {
    const [requests, timers, calls] = this.toCome;
    if (this.sends > 0 && this.isHanded && !this.isServed && requests + timers === 0) {
      this.isServed = true;
      served[nextServed] = this;
      nextServed = (nextServed + 1) % MOST_SERVED;
    }
    const isBusy = this.isHanded && this.sends === 0 && requests + timers + calls > 0;
    if (isBusy !== this.isBusy) busy += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    const isOpen = this.isHanded && this.sends === 0 && requests === 0;
    sleep(this, isOpen && timers + calls > 0 ? Math.min(this.steps, MOST_STEPS) : undefined);
    if (isOpen && timers === 0 && calls > 0) called.add(this);
    else if (calls > 0 || this.steps > 0) called.delete(this);
    if (isOpen && timers + calls === 0) lie(this);
    else if (this.stillAt !== undefined) rise(this);
  }

  waitsForOwn() { return this.toCome.some((some) => some > 0); }

  /** Some of its timers may have been cancelled without a word. */
  look() {
    if (this.timers === undefined) return;
    for (const timer of this.timers) if (timer._destroyed) this._isGone(CALL, timer);
  }
}

const REQUEST = 0;
const TIMER = 1;
const CALL = 2;

/** Messages that nothing was sent for and that lie still, in the order in which they came to; or undefined. */
const still = [];
/** The number of the first one of the list. */
let first = 0;
let count = 0;
/** Messages that nothing was sent for, with functions that are to be called. */
const called = new Set();
/** How many sleep, by their steps: nothing was sent for them, and they wait for timers. */
const sleeping = new Array(MOST_STEPS + 1).fill(0);
/** Messages that were handed out. */
let handedOut = 0;
/** How many there are that nothing was sent for, and that something is to come back to. */
let busy = 0;
/** The last ones that something was sent for, and that lay still then. */
const served = [];
let nextServed = 0;

function lie(account) {
  if (account.stillAt !== undefined) return;
  if (still.length >= MOST_STILL) {
    const oldest = still.shift();
    first += 1;
    if (oldest !== undefined) {
      oldest.stillAt = undefined;
      count -= 1;
    }
  }
  account.stillAt = first + still.length;
  still.push(account);
  count += 1;
}

function sleep(account, steps) {
  if (account.asleep === steps) return;
  if (account.asleep !== undefined) sleeping[account.asleep] -= 1;
  if (steps !== undefined) sleeping[steps] += 1;
  account.asleep = steps;
}

/** Whether another one sleeps that has come as far as this one, and had nothing to send there. */
function sleepsAsFar(account) {
  for (let steps = Math.min(account.steps, MOST_STEPS); steps <= MOST_STEPS; steps += 1) {
    if (sleeping[steps] > (account.asleep === steps ? 1 : 0)) return true;
  }
  return false;
}

function rise(account) {
  still[account.stillAt - first] = undefined;
  account.stillAt = undefined;
  count -= 1;
  if (count > 0) return;
  first += still.length;
  still.length = 0;
}

/** Whether what `account` is about to send to `topic`, in a function that Node calls if `isCalled`, may be for another one. */
function mayBeForAnother(account, topic, isCalled) {
  return count > (account.stillAt === undefined ? 0 : 1) || isForMoved(account, topic, isCalled);
}

/** The same; of those that lie still, only ones from that number on. */
function mayBeForOneFrom(number, account, topic, isCalled) {
  return next(number, account) !== undefined || isForMoved(account, topic, isCalled);
}

function isForMoved(account, topic, isCalled) {
  if (isCalled) lookAtTimers();
  // A function that Node calls is one of those that messages wait for.
  else if (called.size > (called.has(account) ? 1 : 0)) return true;
  if (isCalled && count > (account.stillAt === undefined ? 0 : 1)) return true;
  if (sleepsAsFar(account)) return true;
  if (account.sends === 0) return false;
  // It sends more than that one.
  if (busy > (account.isBusy ? 1 : 0)) return true;
  return served.some((other) => (
    other !== account && other.sends <= account.sends && !other.hasSentTo(topic)
    && other.toCome[REQUEST] + other.toCome[TIMER] === 0
  ));
}

function handed() { return handedOut; }

/** Whether the one that has lain still for longest was handed out before this one. */
function isOlderStill(account) {
  const oldest = still[oldestAt(account)];
  return oldest !== undefined && oldest.number < account.number;
}

function oldestAt(account) {
  const after = next(first, account);
  return after === undefined ? -1 : after - 1 - first;
}

/** Whether there is one, of those that lie still or sleep, that may be older. */
function isOlderThan(account, isCalled) {
  return isOlderStill(account) || sleepsAsFar(account) || (!isCalled && called.size > (called.has(account) ? 1 : 0));
}

/** Whether all that nothing was sent for lie still. */
function allLieStill() { return sleeping.every((some) => some === 0); }

/** The first one from that number on that lies still; the number after it, or undefined. */
function next(number, account) {
  for (let at = Math.max(number - first, 0); at < still.length; at += 1) {
    if (still[at] !== undefined && still[at] !== account) return first + at + 1;
  }
  return undefined;
}

function lookAtTimers() {
  let left = Math.min(LOOKED_AT, called.size);
  for (const account of called) {
    if (left === 0) return;
    left -= 1;
    account.look();
    // The others are next.
    if (called.delete(account)) called.add(account);
  }
}

module.exports = {
  Account, CALL, REQUEST, TIMER, allLieStill, handed, isOlderStill, isOlderThan, mayBeForAnother, mayBeForOneFrom, next,
};

