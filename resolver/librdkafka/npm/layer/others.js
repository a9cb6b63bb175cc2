// Which other message a send may be for. Code that is at work on one message may run what another one has put somewhere: a queue,
// a batch, a list of callbacks. Nothing in contexts tells it from the message's own code. But the other message then lies still:
// nothing of its own will come back to it, no timer and no request, and less was sent for it. Where no other lies still so, what
// is sent is for the message that is current.
'use strict';

/** Messages that lie still, or sleep, and are kept; the oldest are forgotten. */
const MOST_STILL = 1000;
/** Of those that something was sent for, only so many are looked at. */
const MOST_SERVED = 32;
/** Messages whose timers are looked at, at each send from a timer and with each further message. */
const LOOKED_AT = 4;
/** How often something came back to a message is counted up to this. */
const MOST_STEPS = 15;

/** What is known of a message while others are looked at: little, since it may outlive the message. */
class Account {
  constructor(others) {
    /** The messages of its consumer. */
    this.others = others;
    /** Its requests that are to come back, its timers that settle a promise, and functions that a timer is to call. */
    this.toCome = [0, 0, 0];
    /** Those of them that can be cancelled, each before its kind. */
    this.timers = undefined;
    /** How much of it came. */
    this.steps = 0;
    this.sends = 0;
    /** Where something was sent to: one name, or a set of them. */
    this.topics = undefined;
    /** The program was given it, and has returned to Node or waits for a promise. */
    this.isHanded = false;
    /** Its number among those; of one that is called right now, that of the next one. */
    this.number = others.handed + 1;
    /** What it was handed to has waited, and has settled. */
    this.isClosed = false;
    /** Its code has failed, so it left nothing behind for others; or it is forgotten. */
    this.hasFailed = false;
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
    /** The steps that it is counted with among those that sleep, and its number there. */
    this.asleep = undefined;
    this.asleepAt = 0;
  }

  handed() {
    if (!this.isHanded) {
      this.others.handed += 1;
      this.number = this.others.handed;
    }
    this.isHanded = true;
    this.others.lookAtTimers();
    this._changed();
  }

  /** Something is to come back to it; `timer` if it can be cancelled. */
  begins(kind, timer) {
    this.toCome[kind] += 1;
    if (timer !== undefined) (this.timers = this.timers || []).push(timer, kind);
    this._changed();
  }

  comes(kind, timer) {
    this.steps += 1;
    this._isGone(kind, timer);
  }

  _isGone(kind, timer) {
    this.toCome[kind] -= 1;
    const at = this.timers === undefined ? -1 : this.timers.indexOf(timer);
    if (at !== -1) this.timers.splice(at, 2);
    this._changed();
  }

  /** Its code has failed, or is called again after that. */
  fails(hasFailed) {
    if (this.hasFailed === hasFailed) return;
    this.hasFailed = hasFailed;
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
      this.others.serve(this);
    }
    const isUnsent = this.isHanded && this.sends === 0 && !this.hasFailed;
    const isBusy = isUnsent && requests + timers + calls > 0;
    if (isBusy !== this.isBusy) this.others.busy += isBusy ? 1 : -1;
    this.isBusy = isBusy;
    const isOpen = isUnsent && requests === 0;
    this.others.sleep(this, isOpen && timers + calls > 0 ? Math.min(this.steps, MOST_STEPS) : undefined);
    if (isOpen && timers === 0 && calls > 0) this.others.called.add(this);
    else this.others.called.delete(this);
    if (isOpen && timers + calls === 0) this.others.lie(this);
    else if (this.stillAt !== undefined) this.others.rise(this);
  }

  waitsForOwn() { return this.toCome.some((some) => some > 0); }

  /** Some of its timers may have been cancelled without a word. */
  look() {
    if (this.timers === undefined) return;
    for (let at = this.timers.length - 2; at >= 0; at -= 2) {
      if (this.timers[at]._destroyed) this._isGone(this.timers[at + 1], this.timers[at]);
    }
  }
}

const REQUEST = 0;
const TIMER = 1;
const CALL = 2;

/** The messages of a consumer. */
class Others {
  constructor() {
    /** How many were handed out. */
    this.handed = 0;
    /** Those that nothing was sent for and that lie still, in the order in which they came to; or undefined. */
    this._still = [];
    /** The number of the first one of these. */
    this._first = 0;
    this._count = 0;
    /** Those that nothing was sent for, with functions that are to be called. */
    this.called = new Set();
    /** Those that sleep: nothing was sent for them, and they wait for timers. How many there are of each number of steps. */
    this._asleep = [];
    /** The next one of them whose timers are looked at. */
    this._nextAsleep = 0;
    this._sleeping = new Array(MOST_STEPS + 1).fill(0);
    /** How many there are that nothing was sent for, and that something is to come back to. */
    this.busy = 0;
    /** The last ones that something was sent for, and that lay still then. */
    this._served = [];
    this._nextServed = 0;
  }

  lie(account) {
    if (account.stillAt !== undefined) return;
    if (this._still.length >= MOST_STILL) {
      const oldest = this._still.shift();
      this._first += 1;
      if (oldest !== undefined) {
        oldest.stillAt = undefined;
        this._count -= 1;
      }
    }
    account.stillAt = this._first + this._still.length;
    this._still.push(account);
    this._count += 1;
  }

  rise(account) {
    this._still[account.stillAt - this._first] = undefined;
    account.stillAt = undefined;
    this._count -= 1;
    if (this._count > 0) return;
    this._first += this._still.length;
    this._still.length = 0;
  }

  sleep(account, steps) {
    if (account.asleep === steps) return;
    if (account.asleep !== undefined) this._sleeping[account.asleep] -= 1;
    if (steps !== undefined) this._sleeping[steps] += 1;
    if (account.asleep === undefined) account.asleepAt = this._asleep.push(account) - 1;
    account.asleep = steps;
    if (steps === undefined) this._wakes(account);
    else if (this._asleep.length > MOST_STILL) this._asleep[0].fails(true);
  }

  /** The last one comes to where it was. */
  _wakes(account) {
    const last = this._asleep.pop();
    if (last === account) return;
    this._asleep[account.asleepAt] = last;
    last.asleepAt = account.asleepAt;
  }

  serve(account) {
    this._served[this._nextServed] = account;
    this._nextServed = (this._nextServed + 1) % MOST_SERVED;
  }

  /**
   * Whether what `account`, of this consumer or another one, is about to send to `topic` may be for one of these: of those that
   * lie still, only for one from that number on. `isCalled`: in a function that Node calls.
   */
  mayGet(account, topic, isCalled, from = 0) {
    if (isCalled) this.lookAtTimers();
    // A function that Node calls is one of those that messages wait for.
    else if (this._hasCalled(account)) return true;
    if (this.next(from, account) !== undefined || this._sleepsAsFar(account)) return true;
    if (account.sends === 0) return false;
    // It sends more than that one.
    if (this.busy > (account.isBusy && account.others === this ? 1 : 0)) return true;
    return this._served.some((other) => (
      other !== account && other.sends <= account.sends && !other.hasSentTo(topic)
      && other.toCome[REQUEST] + other.toCome[TIMER] === 0
    ));
  }

  /** Looks at some that sleep, at others of them each time. */
  lookAtTimers() {
    for (let left = Math.min(LOOKED_AT, this._asleep.length); left > 0; left -= 1) {
      this._nextAsleep = this._nextAsleep >= this._asleep.length - 1 ? 0 : this._nextAsleep + 1;
      // The one before may have been the last.
      if (this._asleep.length > 0) this._asleep[this._nextAsleep % this._asleep.length].look();
    }
  }

  /** Whether there is one, of those that lie still or sleep, that may be older. */
  hasOlder(account, isCalled) {
    return this.hasOlderStill(account) || this._sleepsAsFar(account) || (!isCalled && this._hasCalled(account));
  }

  /** Whether the one that has lain still for longest was handed out before this one. */
  hasOlderStill(account) {
    const after = this.next(0, account);
    return after !== undefined && this._still[after - 1 - this._first].number < account.number;
  }

  /** Whether all that nothing was sent for lie still. */
  allLieStill() { return this._sleeping.every((some) => some === 0); }

  /** The first one from that number on that lies still; the number after it, or undefined. */
  next(number, account) {
    for (let at = Math.max(number - this._first, 0); at < this._still.length; at += 1) {
      if (this._still[at] !== undefined && this._still[at] !== account) return this._first + at + 1;
    }
    return undefined;
  }

  /** Whether another one sleeps that has come as far as this one, and had nothing to send there. */
  _sleepsAsFar(account) {
    for (let steps = Math.min(account.steps, MOST_STEPS); steps <= MOST_STEPS; steps += 1) {
      const own = account.asleep === steps && account.others === this ? 1 : 0;
      if (this._sleeping[steps] > own) return true;
    }
    return false;
  }

  _hasCalled(account) { return this.called.size > (this.called.has(account) ? 1 : 0); }

}

const ofConsumers = new WeakMap();
/** Those of messages of which nobody knows who gave them. */
const ofNobody = new Others();

function othersOf(consumer) {
  if (consumer === undefined) return ofNobody;
  let others = ofConsumers.get(consumer);
  if (others === undefined) ofConsumers.set(consumer, others = new Others());
  return others;
}

module.exports = { Account, CALL, REQUEST, TIMER, othersOf };
