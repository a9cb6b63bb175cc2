"""Which message a piece of code is at work on.

What is current lives in a context variable, so that tasks, greenlets and copies of a context that begin meanwhile are at work on
the same message. A processing ends when nothing refers to it any more: its own context has gone on to the next message, and
whatever began under it is done.

How it is known what is current, from the surest on:

- said: ``with processing(message)``, or a loop over what ``consume()`` gave;
- inherited: a task, a greenlet, a thread or a job of a pool was started while the message was current;
- by order: the context was handed this message last. That is a guess, and made with care (``Processing.is_cause_here``).
"""

import sys
from contextvars import ContextVar
from ctypes import create_string_buffer
from time import monotonic
from typing import Any, Dict, Iterable, Optional
from weakref import WeakSet

from . import _kept, _opentelemetry
from ._trains import marker, train

#: The functions of the library; set once, by `use`, before anything else here is used.
api: Any = None
_begin: Any = None
_end: Any = None

#: A `Processing`, a `Note`, or nothing.
current: "ContextVar[Any]" = ContextVar("tracer_interceptors.current", default=None)

#: Seconds that a message may at least be taken for the cause of what its context sends, when only the order says so; more when
#: a consumer's messages were seen to take longer.
SHORTEST = 2.0
#: Seconds after which a message is no cause that is not said: Kafka itself gives up a consumer that takes as long.
LONGEST = 300.0
MOST_TOPICS = 10_000

topics: Dict[str, bytes] = {}
_LOADED = sys.modules


def use(functions: Any) -> None:
    """Sets the functions of the library."""
    global api, _begin, _end
    api, _begin, _end = functions, functions.begin, functions.end


class Habits:
    """What a consumer's messages have shown so far: one for each consumer."""

    __slots__ = ("longest", "skipped", "is_filter", "is_list", "last", "before", "__weakref__")

    def __init__(self) -> None:
        #: Seconds that a message was seen to take at most.
        self.longest = 0.0
        #: Messages under which nothing was sent or started, since the last for which it was.
        self.skipped = 0
        #: After several messages without a send there was one send, and then the next message.
        self.is_filter = False
        #: After several messages without a send there were several sends.
        self.is_list = False
        #: The processing of the message that it gave last, so that whoever is given that message finds it.
        self.last: Any = None
        #: That of the last one that was left without a send, until it shows whether the program has it still.
        self.before: Any = None
        _all_habits.add(self)


_all_habits: "WeakSet[Habits]" = WeakSet()


class Processing:
    """The processing of one message."""

    number = 0
    train = 0
    since = 0.0
    message: Any = None
    habits: Any = None
    #: A loop over messages says so, or the program: no guess.
    said = False
    #: The program says so itself: only the program ends it.
    firm = False
    #: Messages before it under which nothing was sent or started: it may be the last of a list.
    skipped = 0
    #: None of these three: all that is to be asked is how old it is.
    plain = True
    #: Messages sent while it was current, whether or not it was taken for the cause.
    sends = 0
    #: Its age in seconds when the last of them was sent.
    age = 0.0
    #: Something was started under it, or it was given to something.
    started = False
    #: Somebody will send of it later: so many buffers and delivery reports.
    noted = 0

    def __del__(self) -> None:
        # At the end of the interpreter the library ends all that is open.
        if self.number and _end is not None:
            _end(self.number)

    def done(self) -> None:
        """The work on it ends here, whoever still refers to it."""
        if self.noted:
            self.firm = True
            api.pause(self.number, 1)
            return
        number, self.number = self.number, 0
        if number:
            api.end(number)

    def is_cause_here(self) -> bool:
        """Whether what its own context sends now, and says nothing of, follows from it."""
        self.sends += 1
        self.age = age = monotonic() - self.since
        habits = self.habits
        if age > SHORTEST and age > min(2 * habits.longest, LONGEST):
            return False
        if not self.skipped:
            return True
        if self.sends > 1:
            habits.is_list = True
        return not self.is_unsure()

    def is_unsure(self) -> bool:
        """Whether it may be the last of a list, and the work on another."""
        if not self.skipped or self.said:
            return False
        habits = self.habits
        before = habits.before
        if before is not None and _kept.is_held(before):
            return True
        return not habits.is_filter or habits.is_list or _kept.has_of_train(self.train)

    def is_cause_elsewhere(self) -> bool:
        """The same of a context that began while it was current."""
        return not self.skipped and monotonic() - self.since <= LONGEST


class Turn(Processing):
    """Somebody is given a message that its context has left: it is at work on it as long as this is current."""

    said = True
    plain = False

    def __init__(self, of: Processing) -> None:
        self.number, self.message, self.habits, self._of = of.number, of.message, of.habits, of
        api.pause(self.number, 0)

    def __del__(self) -> None:
        if api is not None and self._of.number and not self._of.firm:
            api.pause(self.number, 1)


class Note:
    """Somebody will send of a processing later, when its context may have gone on."""

    __slots__ = ("processing", "number", "started", "__weakref__")
    said = firm = True
    plain = False

    def __init__(self, processing: Processing) -> None:
        self.processing = processing
        self.number = processing.number
        processing.noted += 1
        # Should this outlive whoever is at work on it, its span ends with the last that is known of that.
        api.pause(self.number, 1)

    def is_unsure(self) -> bool:
        return False

    def __del__(self) -> None:
        processing = self.processing
        processing.noted -= 1
        if not processing.noted and not processing.firm and api is not None and sys.getrefcount(processing) > 3:
            api.pause(self.number, 0)


def name_of(topic: str) -> bytes:
    """The topic as the library takes it."""
    name = topics.get(topic)
    if name is None:
        if len(topics) >= MOST_TOPICS:
            topics.clear()
        name = topics[topic] = topic.encode()
    return name


def begin(message: Any, habits: Habits, of: int) -> Optional[Processing]:
    """Begins the processing of a message that was handed over just now, for the train ``of``; ``None``: it is not traced."""
    number = _begin(name_of(message.topic()), message.partition(), message.offset(), of)
    return _of_number(number, message, habits, of) if number else None


def begin_late(message: Any, habits: Habits, of: int, traceparent: Any, tracestate: Any) -> Optional[Processing]:
    """The same of one whose delivery may be long ago, with what its headers say; for 0 the program says so."""
    name = name_of(message.topic())
    number = api.begin_of(name, message.partition(), message.offset(), traceparent, tracestate, of)
    return _of_number(number, message, habits, of) if number else None


def _of_number(number: int, message: Any, habits: Habits, of: int) -> Processing:
    it = Processing()
    it.number = number
    it.train = of
    it.since = monotonic()
    it.message = message
    it.habits = habits
    return it


def leave(habits: Habits) -> None:
    """The calling context goes on to the next message of a consumer."""
    before = habits.before
    if before is not None and not _kept.is_held(before):
        habits.before = None
    before = None
    it = current.get()
    last, habits.last = habits.last, None
    if last is it:
        last = None
    if it is not None and not it.firm:
        forsake()
        depart(it)
    if last is not None and not is_inherited(last):
        # The context that was handed it is gone.
        depart(last)
    if _kept.row:
        _kept.sweep()


def is_inherited(it: Processing) -> bool:
    """Whether another context is at it too. Its caller has one reference, in a variable, and so may that one's caller."""
    return sys.getrefcount(it) > _ALONE


def depart(it: Processing) -> None:
    """It is no longer current in its own context."""
    if it.said:
        it.habits.skipped = 0
        return
    if it.sends or it.started or is_inherited(it):
        habits = it.habits
        if it.age > habits.longest:
            habits.longest = it.age
        if it.skipped and it.sends <= 1:
            habits.is_filter = True
        habits.skipped = 0
        if it.noted:
            api.pause(it.number, 1)
        return
    habits = it.habits
    habits.skipped = it.skipped + 1
    api.pause(it.number, 1)
    keep_before(habits)
    habits.before = it


def keep_before(habits: Habits) -> None:
    """Puts the last that was left without a send with the others that are kept."""
    before, habits.before = habits.before, None
    if before is not None and _kept.is_held(before):
        _kept.keep(before)


def _references() -> int:
    """What `is_inherited` sees of one that nobody else is at, as `leave` and `depart` call it."""

    def caller(it: Processing) -> int:
        return inner(it)

    def inner(it: Processing) -> int:
        return sys.getrefcount(it)

    it = Processing()
    return caller(it)


_ALONE = _references()


def at_hand(objects: Iterable[Any]) -> Optional[Processing]:
    """The processing whose message, value or key is among these, wherever it is; ``None`` where there is none, or several."""
    it = _kept.of_objects(objects) if _kept.row else None
    if it is None and _all_habits:
        for habits in list(_all_habits):
            for near in (habits.last, habits.before):
                if near is not None and near.number and _kept.is_of(near, objects):
                    return near  # type: ignore[no-any-return]
    return it


def handed(message: Any, habits: Habits) -> None:
    """The calling context was handed a message by a call for one."""
    if message.error() is not None:
        return
    of = train()
    topic = message.topic()
    number = _begin(topics.get(topic) or name_of(topic), message.partition(), message.offset(), of)
    if not number:
        return
    habits.last = it = Processing()
    it.number = number
    it.train = of
    it.since = monotonic()
    it.message = message
    it.habits = habits
    if habits.skipped:
        it.skipped = habits.skipped
        it.plain = False
    here = marker()
    if here.lent:
        here.handed = it
    if current.get() is None:
        current.set(it)
        if "opentelemetry.trace" in _LOADED:
            _opentelemetry.attach(it, None if it.is_unsure() else context_of(it))


def enter(it: Any) -> None:
    """Makes it the current one of the calling context."""
    current.set(it)
    if "opentelemetry.trace" in _LOADED:
        _opentelemetry.attach(it, None if it.is_unsure() else context_of(it))


def forsake() -> None:
    """The calling context is at no message."""
    current.set(None)
    if "opentelemetry.trace" in _LOADED:
        _opentelemetry.detach()


def adopt(it: Processing) -> None:
    """The calling context is given the message by another that was handed it on its behalf."""
    before = current.get()
    if before is it or before is not None and before.firm:
        return
    if before is not None:
        depart(before)
    it.train = train()
    enter(it)


def context_of(it: Any) -> Optional[str]:
    """Its context as a ``traceparent``; ``None`` once it has ended."""
    text = create_string_buffer(56)
    return text.value.decode() if it.number and api.context(it.number, text) else None
