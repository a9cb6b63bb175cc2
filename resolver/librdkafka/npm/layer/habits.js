// Whether a place in the program sends for the message that is current, where that may be another one: known by its habits.
//
// A place is the stack of the code that sends. One that a message passes several times, while others lie still and never pass it,
// sends for those too: there runs a batch or a queue. One that each message passes once may still send for those that lay still
// before: there moves a window. So nothing is said of what a place sends until it has shown that what lies still comes to it by
// itself, and nothing at all while something does that never came.
'use strict';

const { executionAsyncId, executionAsyncResource } = require('async_hooks');
const { DONE, SETTLED, TASK, UNKNOWN, doubtedBy } = require('./others');
const { stack } = require('./stack');

/** Frames of a place: its own, and those that called it. */
const FRAMES = 10;
/** Places that are known at once; then they are learnt anew. */
const MOST_PLACES = 1000;
/** Sends of a consumer's messages of which the places are looked at although there is no doubt. */
const FIRST_SENDERS = 16;
/** Messages that have passed a place once and are done, until it is trusted. */
const SINGLES = 2;
/** Messages that have passed it in the order in which they were handed out, with none left behind, until it is trusted for such. */
const IN_TURN = 3;
/** Messages that came to it by themselves after another had overtaken them, until it is trusted for what overtakes. */
const CAME = 1;
const WAITS = 0;
const SLEEPS = 1;
/** More than any window of a program holds: as many more have come to nothing, when they are of no interest. */
const WINDOW = 1000;
/** Messages of which it is waited for whether they pass again. */
const MOST_OPEN = 5;
/** Sends to a topic, one after the other from one trusted place, in turn and after as much of their own, until that is usual. */
const USUAL = 64;
/** Messages that are done and have passed a place that bunches, while all have that settled, until it is trusted. */
const CLOSED = 3;

/** What has this is a timer, or its like, that calls a function of the program. */
const CALLED = Symbol('tracer-interceptors.called');

const places = new Map();
/** Messages whose promise has settled. */
let settled = 0;
/** Places that a message has passed several times. */
const bunching = new Set();

class Place {
  /** `frames`: a number for each of the frames, which tells those from the innermost one to it. */
  constructor(frames, isClean) {
    this._frames = frames;
    /** It was passed first while no message lay still: it holds none back. */
    this._isClean = isClean;
    /** The same for several sends of one message. */
    this._isCleanFan = false;
    /** The consumers whose messages have passed. */
    this._passedBy = new Set();
    /** Messages that have passed in doubt, in turn. */
    this._inTurn = 0;
    /** Those that others overtook while they waited, or slept, and that came later. */
    this._came = [0, 0];
    /** For how many nothing had been sent when one was left first. */
    this._lackingBefore = undefined;
    this._lastNumber = 0;
    /** Those that passed once and are done, by how that is known. */
    this._singles = [0, 0, 0, 0];
    /** Those of which it is not known yet: `[account, pass]`. */
    this._open = [];
    /** How many messages had settled before it was known. */
    this._settledBefore = settled;
    /** How many have settled that passed it; of these, how many have waited, and have passed it several times. */
    this.settled = 0;
    this.closed = 0;
  }

  /** Whether it is known that what `account` sends here is for its own message, and not for one of the consumers `doubted`. */
  pass(account, topic, doubted) {
    const execution = executionAsyncId();
    const before = account.passes && account.passes.get(this);
    const isTrusted = before ? this._again(account, before, execution, doubted)
      : this._first(account, topic, execution, doubted);
    this._passedBy.add(account.others);
    return isTrusted;
  }

  /** Without those whose messages never come here, where it is known that none is held back for them. */
  _inDoubt(account, doubted, isKnown) {
    if (doubted === undefined || !isKnown) return doubted;
    const some = doubted.filter((others) => others === account.others || this._passedBy.has(others));
    return some.length === 0 ? undefined : some;
  }

  /** Whether one is the rest of the other: an `async` function is called by others only until it waits. */
  _isPartOf(other) {
    const [some, more] = this._frames.length < other._frames.length ? [this, other] : [other, this];
    const at = some._frames.length - 1;
    return at >= 0 && some._frames[at] === more._frames[at];
  }

  _first(account, topic, execution, allDoubted) {
    const doubted = this._inDoubt(account, allDoubted, this._isClean);
    this._open = this._open.filter(([one, pass]) => {
      if (one.end >= DONE && pass.times === 1) this._singles[one.end] += 1;
      return one.end < DONE;
    });
    if (account.passes !== undefined) {
      for (const other of account.passes.keys()) if (this._isPartOf(other)) bunching.add(this).add(other);
    }
    const isTrusted = doubted === undefined
      || (bunching.has(this) ? this._fansOut(account, doubted) : this._isTrusted(account, topic, doubted));
    if (account.overtaken !== undefined) {
      const { place, kind, topic: sentTo } = account.overtaken;
      if (place === this || sentTo === topic) place._came[kind] += 1;
      account.overtaken = undefined;
    }
    // It lay still, nobody waited for it, and yet it comes: its promises would have told. No other file knows both.
    if (account.line === account.others.left && account.end === UNKNOWN) require('./pending').follow();
    const pass = { times: 1, execution };
    if (account.passes === undefined) account.passes = new Map();
    account.passes.set(this, pass);
    this._lastNumber = Math.max(this._lastNumber, account.number);
    if (doubted === undefined) return true;
    if (!isTrusted && this._open.push([account, pass]) > MOST_OPEN) this._open.shift();
    return isTrusted;
  }

  _isTrusted(account, topic, doubted) {
    const left = doubted.map((others) => others.firstLeft(account, topic)).filter((other) => other !== undefined);
    // One that has sent before may run what younger ones left.
    const isFirst = account.sends === 0 || doubted.every(({ open }) => open.firstBut(account) === undefined);
    const isAscending = isFirst && account.number > this._lastNumber && (left.length === 0 || account.sends === 0);
    if (isAscending && doubted.every((others) => !others.hasOlder(account, topic))) {
      this._inTurn += 1;
      if (this._inTurn > IN_TURN) return true;
    }
    const isSingle = this._singles[DONE] + this._singles[TASK] >= SINGLES;
    if (left.length === 0 && this._comesToIt(account, topic, doubted) && isSingle) return true;
    // What lies still would have an end that is known too.
    if (this._singles[TASK] >= SINGLES && doubted.every(({ left: line }) => !line.hasEnded(TASK, account))) return true;
    return this._isFilter(left, topic);
  }

  /** Whether those that are overtaken here, while they wait or sleep, come here later, as far as others did. */
  _comesToIt(account, topic, doubted) {
    let comesToIt = true;
    for (const others of doubted) {
      for (const other of [others.waitingBefore(account), others.asleepAsFar(account)]) {
        if (other === undefined) continue;
        const kind = other.asleep === undefined ? WAITS : SLEEPS;
        other.overtaken = { place: this, kind, topic };
        if (this._came[kind] < CAME) comesToIt = false;
      }
    }
    return comesToIt;
  }

  /** Whether more and more messages come to nothing: more than any window holds. */
  _isFilter(left, topic) {
    if (left.length === 0) return false;
    const lacking = left.reduce((all, { others, sends }) => (
      all + others.handed - (sends === 0 ? others.senders : others.sentTo(topic))
    ), 0);
    if (this._lackingBefore === undefined) this._lackingBefore = lacking;
    return lacking > this._lackingBefore + WINDOW;
  }

  _again(account, pass, execution, allDoubted) {
    const isAtOnce = pass.execution === execution;
    pass.execution = execution;
    pass.times += 1;
    bunching.add(this);
    if (allDoubted === undefined) this._isCleanFan = this._isCleanFan || (isAtOnce && this._isClean);
    const doubted = this._inDoubt(account, allDoubted, this._isCleanFan && isAtOnce);
    return doubted === undefined || (isAtOnce && this._fansOut(account, doubted));
  }

  /** Whether messages pass it several times for themselves. */
  _fansOut(account, doubted) {
    if (this.closed < CLOSED || settled - this._settledBefore !== this.settled) return false;
    return doubted.every(({ left }) => left.firstBut(account) === undefined);
  }
}

/** Whether what is sent to `topic` now, in the code of this message, is for it. */
function isForItself(account, topic) {
  let isSure = true;
  if (!account.isSaid) {
    const isCalled = CALLED in executionAsyncResource();
    const doubted = doubtedBy(account, topic, isCalled);
    // Else the place need not be asked, which costs more than all the rest.
    const isAsked = doubted !== undefined ? !isUsual(account, topic, isCalled, doubted)
      : bunching.size > 0 || account.overtaken !== undefined || account.others.senders < FIRST_SENDERS;
    if (isAsked) {
      const place = placeOf(doubted === undefined);
      isSure = place.pass(account, topic, doubted);
      account.others.usual.note(topic, isSure ? place : undefined, account.came);
    }
  }
  account.sentTo(topic);
  return isSure;
}

/**
 * Whether it is sent as all are: from one place, of which no kind ever bunched; while all others are younger and wait in their
 * own functions, so that it fills no batch and pushes nothing out; after as much of its own, so that it is no timer of a batch.
 */
function isUsual(account, topic, isCalled, doubted) {
  const { others } = account;
  return account.sends === 0 && !isCalled && bunching.size === 0 && doubted.length === 1 && doubted[0] === others
    && others.usual.times(topic, account.came) >= USUAL && others.left.first === undefined && !others.hasOlder(account, topic);
}

/** The promise for a message has settled, and not at once if `hasWaited`. */
function closed(account, hasWaited) {
  account.ends(hasWaited ? DONE : SETTLED);
  settled += 1;
  if (account.passes === undefined) return;
  for (const [place, { times }] of account.passes) {
    place.settled += 1;
    if (hasWaited && times > 1) place.closed += 1;
  }
}

/** The place of the code that runs; `isClean`: while there is no doubt. */
function placeOf(isClean) {
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
      bunching.clear();
    }
    place = new Place(numbers, isClean);
    places.set(number, place);
  }
  return place;
}

module.exports = { CALLED, closed, isForItself };
