// Which other message a send may be for. Code that is at work on one message may run what another one has put somewhere: a queue,
// a batch, a window, a list of callbacks. Nothing in contexts tells it from the message's own code. The other message is then one
// that nothing was sent for yet, and that has nothing of its own to come before it gets there: it lies still, or has come as far.
// Where there is no such one, of any consumer, what is sent is for the message that is current.
'use strict';

/** Messages of a consumer that lie still, or sleep, and are kept. */
const MOST_KEPT = 1000;
/** Of those that something was sent for, only so many are looked at, at a send. */
const MOST_SERVED = 32;
/** Topics that messages of a consumer are sent to, and that are known apart. */
const MOST_TOPICS = 1000;
/** Messages whose timers are looked at, at each send from a timer and with each further message. */
const LOOKED_AT = 4;
/** How often something of each kind came back to a message is counted up to this. */
const MOST_STEPS = 63;
const BITS = 6;
/** Consumers that are known apart; further ones are one. */
const MOST_CONSUMERS = 64;

/** How much is known of the end of a message's code. */
const UNKNOWN = 0;
/** It was an `async` function, whose promise settled at once. */
const SETTLED = 1;
/** The same, after it had waited. */
const DONE = 2;
/** It was a task of a queue that tells the end. */
const TASK = 3;

/** How many messages were handed out, by whomever. */
let handed = 0;
/** Whether promises are counted. */
let isCounting = false;

/** What is known of a message while others are looked at: little, since it may outlive the message. */
class Account {
  constructor(others) {
    /** The messages of its consumer. */
    this.others = others;
    /** Its requests that are to come back, its timers that settle a promise, and functions that a timer is to call. */
    this.requests = 0;
    this.waits = 0;
    this.calls = 0;
    /** Those of them that can be cancelled, each before its kind. */
    this.timers = undefined;
    /** How many of each kind came, as one number. */
    this.came = 0;
    this.sends = 0;
    /** Where something was sent to: one name, or a set of them. */
    this.topics = undefined;
    /** The program was given it, and has returned to Node or waits for a promise. */
    this.isHanded = false;
    /** Its number among those; of one that is called right now, that of the next one. */
    this.number = handed + 1;
    /** The function that it was handed to waits, or a loop is at it. */
    this.isOpen = false;
    /** Promises of its code that have not settled, if they are counted: see `pending.js`. */
    this.pending = 0;
    this.isCounted = isCounting;
    this.end = UNKNOWN;
    /** Tasks of it that lie in queues, or are worked at. */
    this.tasks = 0;
    /** Its code has failed, so it left nothing behind for others; or it is forgotten. */
    this.hasFailed = false;
    /** The program itself says what is done for it. */
    this.isSaid = false;
    /** The place that another has passed before it, where that has sent to, and how it lay still then. */
    this.overtaken = undefined;
    /** Where its code has sent: see `habits.js`. */
    this.passes = undefined;
    /** The line that it lies still in, and its neighbours there. */
    this.line = undefined;
    this.before = undefined;
    this.after = undefined;
    /** How far it has come, as it is counted with among those that sleep, and its number there. */
    this.asleep = undefined;
    this.asleepAt = 0;
  }

  handed() {
    if (!this.isHanded) {
      handed += 1;
      this.others.handed += 1;
      this.number = handed;
    }
    this.isHanded = true;
    this.others.lookAtTimers();
    this._changed();
  }

  /** The function that it was handed to waits, or a loop is at it; or that is over. */
  opens(isOpen) {
    if (this.isOpen === isOpen) return;
    this.isOpen = isOpen;
    this._changed();
  }

  /** A promise of its code was made, or has settled. */
  pends(more) {
    this.pending += more;
    if (this.pending > 1 || (this.pending === 1 && more < 0) || !this.isHanded) return;
    this._changed();
  }

  /** So much is known of the end of its code. */
  ends(end) {
    this._setEnd(Math.max(this.end, end));
    if (end !== TASK) this.opens(false);
  }

  _setEnd(end) {
    if (this.line !== undefined) this.line.ended(this.end, end);
    this.end = end;
  }

  /** A task of it is over; its code is when that was the last one. */
  endsTask() {
    this.tasks -= 1;
    if (this.tasks <= 0) this.ends(TASK);
  }

  /** Something is to come back to it; `timer` if it can be cancelled. */
  begins(kind, timer) {
    this._isToCome(kind, 1);
    if (timer !== undefined) (this.timers = this.timers || []).push(timer, kind);
    this._changed();
  }

  comes(kind, timer) {
    if ((this.came >> (BITS * kind) & MOST_STEPS) < MOST_STEPS) this.came += 1 << (BITS * kind);
    this._isGone(kind, timer);
  }

  _isToCome(kind, more) {
    if (kind === REQUEST) this.requests += more;
    else if (kind === TIMER) this.waits += more;
    else this.calls += more;
  }

  _isGone(kind, timer) {
    this._isToCome(kind, -1);
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
    if (this.hasSentTo(topic)) return;
    if (this.topics === undefined) this.topics = topic;
    else if (this.topics instanceof Set) this.topics.add(topic);
    else this.topics = new Set([this.topics, topic]);
    this.others.sent(this, topic);
    this._changed();
  }

  hasSentTo(topic) { return this.topics === topic || (this.topics instanceof Set && this.topics.has(topic)); }

  _changed() {
    const sleeps = this.requests + this.waits > 0;
    const isUnsent = this.isHanded && this.sends === 0 && !this.hasFailed;
    const waits = sleeps || this.calls > 0;
    // Whatever it began is over.
    if (this.isCounted && this.isHanded && this.end === UNKNOWN && !waits && !this.isOpen && this.pending === 0) this._setEnd(DONE);
    const isBusy = isUnsent && waits;
    this.others.sleep(this, isBusy ? this.came : undefined);
    if (isBusy && !sleeps) this.others.called.add(this);
    else this.others.called.delete(this);
    const line = isUnsent || (this.isHanded && this.sends > 0 && !this.hasFailed && !sleeps)
      ? this.others.lineOf(this, isUnsent, waits) : undefined;
    if (line === this.line) return;
    if (this.line !== undefined) this.line.remove(this);
    if (line !== undefined) line.add(this);
  }

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

/** Messages in the order in which they were handed out. */
class Line {
  /** Of `most` ones the oldest tell more than further ones. */
  constructor(most) {
    this._most = most;
    this.first = undefined;
    this._last = undefined;
    this._count = 0;
    /** The one that came last: the next one mostly stands near it. */
    this._near = undefined;
    /** How many of them have each kind of end. */
    this._ends = [0, 0, 0, 0];
  }

  add(account) {
    if (this._count >= this._most) return;
    this._count += 1;
    const last = this._last;
    let before = this._near === undefined || (last !== undefined && last.number < account.number) ? last : this._near;
    while (before !== undefined && before.number > account.number) before = before.before;
    let after = before === undefined ? this.first : before.after;
    for (; after !== undefined && after.number < account.number; after = after.after) before = after;
    this._near = account;
    account.line = this;
    account.before = before;
    account.after = after;
    if (before === undefined) this.first = account; else before.after = account;
    if (after === undefined) this._last = account; else after.before = account;
    this._ends[account.end] += 1;
  }

  remove(account) {
    const { before, after } = account;
    if (before === undefined) this.first = after; else before.after = after;
    if (after === undefined) this._last = before; else after.before = before;
    if (this._near === account) this._near = before;
    account.line = account.before = account.after = undefined;
    this._count -= 1;
    this._ends[account.end] -= 1;
  }

  /** One of them has another end. */
  ended(before, now) {
    this._ends[before] -= 1;
    this._ends[now] += 1;
  }

  /** Whether there is another that has an end as that: one kind for a task, another for an `async` function, waiting or not. */
  hasEnded(end, account) {
    const isSuch = (some) => some === end || (end === DONE && some === SETTLED);
    const own = account.line === this && isSuch(account.end) ? 1 : 0;
    return this._ends.reduce((all, some, kind) => (isSuch(kind) ? all + some : all), 0) > own;
  }

  /** One of the first that nothing was sent for to that topic, and no more than for `account`. */
  firstWithout(topic, account) {
    let other = this.first;
    for (let looked = 0; other !== undefined && looked < MOST_SERVED; looked += 1) {
      if (other !== account && other.sends <= account.sends && !other.hasSentTo(topic)) return other;
      other = other.after;
    }
    return undefined;
  }

  /** The first one that is another. */
  firstBut(account) { return this.first === account ? account.after : this.first; }
}

/** From where messages of a consumer are sent to a topic, one after the other. */
class Usual {
  constructor() { this._ofTopics = new Map(); }

  times(topic, far) {
    const usual = this._ofTopics.get(topic);
    return usual !== undefined && usual.far === far ? usual.times : 0;
  }

  /** One was sent from there, having come so far; undefined: it was not trusted. */
  note(topic, place, far) {
    const usual = this._ofTopics.get(topic);
    if (usual !== undefined && usual.place === place && usual.far === far) usual.times += place === undefined ? 0 : 1;
    else if (usual !== undefined) Object.assign(usual, { place, far, times: 0 });
    else if (this._ofTopics.size < MOST_TOPICS) this._ofTopics.set(topic, { place, far, times: 0 });
  }
}

/** The messages of a consumer. */
class Others {
  constructor() {
    /** Those that nothing was sent for and that lie still: those whose function waits, or that a loop is at; and all else. */
    this.open = new Line(Infinity);
    this.left = new Line(MOST_KEPT);
    /** Those that nothing was sent for, with functions that are to be called. */
    this.called = new Set();
    /** Those that sleep: nothing was sent for them, and they wait for their own. How many of them have come as far as each. */
    this.asleep = new Line(Infinity);
    this._asleep = [];
    /** The next one of them whose timers are looked at. */
    this._nextAsleep = 0;
    this._sleeping = new Map();
    /** Those that something was sent for, and that lie still since then, in the same way. */
    this.served = { open: new Line(MOST_KEPT), left: new Line(MOST_KEPT) };
    /** All of these that nothing was sent for. */
    this.lines = [this.open, this.left, this.asleep];
    /** For how many something was sent to each topic. */
    this._sentTo = new Map();
    this.usual = new Usual();
    /** How many were handed out. */
    this.handed = 0;
    /** How many of them something was sent for. */
    this.senders = 0;
  }

  lineOf(account, isUnsent, waits) {
    if (isUnsent && waits) return this.asleep;
    const { open, left } = isUnsent ? this : this.served;
    return account.isOpen || account.pending > 0 ? open : left;
  }

  sleep(account, far) {
    if (account.asleep === far) return;
    if (account.asleep !== undefined) this._count(account.asleep, -1);
    if (far !== undefined) this._count(far, 1);
    if (account.asleep === undefined) account.asleepAt = this._asleep.push(account) - 1;
    account.asleep = far;
    if (far === undefined) this._wakes(account);
    else if (this._asleep.length > MOST_KEPT) this._asleep[0].fails(true);
  }

  _count(far, more) {
    const some = (this._sleeping.get(far) || 0) + more;
    if (some === 0) this._sleeping.delete(far);
    else this._sleeping.set(far, some);
  }

  /** The last one comes to where it was. */
  _wakes(account) {
    const last = this._asleep.pop();
    if (last === account) return;
    this._asleep[account.asleepAt] = last;
    last.asleepAt = account.asleepAt;
  }

  /** Something is sent for it to a topic for the first time. */
  sent(account, topic) {
    if (account.sends === 1) this.senders += 1;
    if (this._sentTo.size < MOST_TOPICS || this._sentTo.has(topic)) this._sentTo.set(topic, this.sentTo(topic) + 1);
  }

  sentTo(topic) { return this._sentTo.get(topic) || 0; }

  /** Whether what `account`, of this consumer or another one, is about to send to `topic` may be for one of these. */
  mayGet(account, topic, isCalled) {
    if (isCalled) this.lookAtTimers();
    // A function that Node calls is one of those that messages wait for.
    else if (this._hasCalled(account)) return true;
    if (this.open.firstBut(account) !== undefined || this.left.firstBut(account) !== undefined) return true;
    if (this._sleepsAsFar(account)) return true;
    if (account.sends === 0) return false;
    // It sends more than that one.
    if (this.asleep.firstBut(account) !== undefined) return true;
    const { open, left } = this.served;
    return open.firstWithout(topic, account) !== undefined || left.firstWithout(topic, account) !== undefined;
  }

  /** The first one that is left of those that what `account` sends to `topic` may be for. */
  firstLeft(account, topic) {
    const unsent = this.left.firstBut(account);
    return unsent === undefined && account.sends > 0 ? this.served.left.firstWithout(topic, account) : unsent;
  }

  /** Whether there is one that was handed out before, of those that what `account` sends may be for, or that may come to it. */
  hasOlder(account, topic) {
    const isOlder = (other) => other !== undefined && other.number < account.number;
    if (this.lines.some((line) => isOlder(line.firstBut(account)))) return true;
    return account.sends > 0 && [this.served.open, this.served.left].some((line) => isOlder(line.firstWithout(topic, account)));
  }

  /** The first one that was handed out before `account` and waits in its own function. */
  waitingBefore(account) {
    const first = this.open.firstBut(account);
    return first !== undefined && first.number < account.number ? first : undefined;
  }

  /** One of the first that sleep although they have come as far. */
  asleepAsFar(account) {
    let other = this.asleep.first;
    for (let looked = 0; other !== undefined && looked < MOST_SERVED; looked += 1) {
      if (other !== account && isAsFar(other.asleep, account)) return other;
      other = other.after;
    }
    return undefined;
  }

  /** Looks at some that sleep, at others of them each time. */
  lookAtTimers() {
    for (let left = Math.min(LOOKED_AT, this._asleep.length); left > 0; left -= 1) {
      this._nextAsleep = this._nextAsleep >= this._asleep.length - 1 ? 0 : this._nextAsleep + 1;
      // The one before may have been the last.
      if (this._asleep.length > 0) this._asleep[this._nextAsleep % this._asleep.length].look();
    }
  }

  /** Whether another one sleeps that has come as far as this one, and had nothing to send there. */
  _sleepsAsFar(account) {
    for (const [far, some] of this._sleeping) {
      if (isAsFar(far, account) && some > (account.asleep === far && account.others === this ? 1 : 0)) return true;
    }
    return false;
  }

  _hasCalled(account) { return this.called.size > (this.called.has(account) ? 1 : 0); }
}

/** Whether `far` is as far as that one has come. */
function isAsFar(far, { came }) {
  for (let shift = 0; shift <= BITS * CALL; shift += BITS) {
    if ((far >> shift & MOST_STEPS) < (came >> shift & MOST_STEPS)) return false;
  }
  return true;
}

const ofConsumers = new WeakMap();
/** Those of messages of which nobody knows who gave them, and of further consumers. */
const ofNobody = new Others();
const everybody = [ofNobody];

function othersOf(consumer) {
  if (consumer === undefined) return ofNobody;
  let others = ofConsumers.get(consumer);
  if (others === undefined) {
    others = everybody.length < MOST_CONSUMERS ? new Others() : ofNobody;
    if (others !== ofNobody) everybody.push(others);
    ofConsumers.set(consumer, others);
  }
  return others;
}

/** The consumers of which a message may be what is sent to `topic` in the code of `account`; undefined where there is none. */
function doubtedBy(account, topic, isCalled) {
  let doubted;
  for (const others of everybody) {
    if (others.mayGet(account, topic, isCalled)) (doubted = doubted || []).push(others);
  }
  return doubted;
}

/** From now on promises are counted. */
function count() { isCounting = true; }

module.exports = { Account, CALL, DONE, REQUEST, SETTLED, TASK, TIMER, UNKNOWN, count, doubtedBy, othersOf };
