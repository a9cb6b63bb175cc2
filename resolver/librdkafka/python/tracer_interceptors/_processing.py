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
from typing import Any, Callable, Dict, Iterable, Optional

from . import _kept, _library, _opentelemetry
from ._note import note_defect
from ._trains import marker, train

#: The functions of the library: nobody imports this who has not found it.
api: Any = _library.find()

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


class Habits(api.Habits):  # type: ignore[misc]
    """What a consumer's messages have shown so far: one for each consumer.

    - ``longest``: seconds that a message was seen to take at most.
    - ``skipped``: messages under which nothing was sent or started, since the last for which it was.
    - ``left``: all messages under which nothing was sent by their own context.
    - ``idle``: of those, all that were not given to anything either.
    - ``ungiven``: all that were not given to anything, whether something was sent of them or not.
    - ``is_crossed``: those of another consumer come in between; ``is_crossing``: one of another's was left for the next of these.
    - ``is_filter``: where some had no send, one had one send, and then the next message came.
    - ``is_list``: where some had no send, one had several.
    - ``last``: the processing of the message that it gave last, so that whoever is given that message finds it.
    - ``before``: that of the last one that was left without a send, until it shows whether the program has it still.
    """

    __slots__ = ()


class Processing(api.Processing):  # type: ignore[misc]
    """The processing of one message, which ends with it if it ``owns`` it.

    - ``number``, ``train``, ``since``, ``message``, ``habits``: what it is of.
    - ``said``: a loop over messages says so, or the program: no guess.
    - ``firm``: the program says so itself: only the program ends it.
    - ``skipped``: messages before it under which nothing was sent or started: it may be the last of a list.
    - ``late``: it has been current for too long to be the cause of more.
    - ``sends``: messages sent while it was current in its own context; ``caused``: those that it was taken for the cause of.
    - ``age``: its age in seconds when the last of them was sent.
    - ``started``: something was started under it, or it was given to something.
    - ``noted``: somebody will send of it later: so many buffers and delivery reports.
    """

    __slots__ = ("__weakref__",)

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
        self.age = monotonic() - self.since
        is_cause = self.is_cause()
        if is_cause:
            self.caused += 1
        return is_cause

    def is_cause(self, left: Optional[int] = None) -> bool:
        """Whether what its own context makes now is made of it, for all that the order and the code say; `left`: so many others may be
        meant, if not all of which nothing was sent."""
        habits, age = self.habits, monotonic() - self.since
        if age > SHORTEST and age > min(2 * habits.longest, LONGEST) and (self.late or not _loops().is_in_its_turn()):
            self.late = True
            return False
        if habits.is_crossed or self.others_wait():
            return False
        if not (habits.left if left is None else left):
            return True
        # Some were left without a send: they may be meant. The code says whether each round sends of its own message.
        once = _loops().is_once_in_a_round()
        if once is not None:
            return once
        if self.sends > 1:
            habits.is_list = True
        return habits.is_filter and not habits.is_list and not _loops().is_repeated()

    def is_unsure(self) -> bool:
        """Whether it may be the last of a list, and the work on another."""
        habits = self.habits
        if self.said:
            return False
        if habits.is_crossed:
            return True
        return self.skipped > 0 and (not habits.is_filter or habits.is_list or self.others_wait())

    def others_wait(self) -> bool:
        """Whether the program still has one that was handed to the same train before, and of which nothing was made."""
        for habits in api.all_habits():
            before = habits.before
            if before is not None and before.train == self.train and before is not self and before.waits():
                return True
        return bool(_kept.row) and _kept.waits_of_train(self.train)

    def waits(self) -> bool:
        """Whether the program still has the message, and has made nothing of it."""
        return not (self.caused or self.started or self.said) and _kept.is_held(self)

    def is_cause_elsewhere(self) -> bool:
        """The same of a context that began while it was current."""
        return not self.skipped and monotonic() - self.since <= LONGEST


def _loops() -> Any:
    """The module: few programs need it, and what it imports takes its time."""
    global _loops_module
    if _loops_module is None:
        from . import _loops as module

        _loops_module = module
    return _loops_module


_loops_module: Any = None


def _made_since(root: Any) -> Any:
    """That of `_since.py`, which few programs need too."""
    from . import _since

    try:
        return _since.made_since(root)
    except Exception as error:
        note_defect("the code of what was started is not understood", error)
        return _since.OTHERS


class Turn(Processing):
    """Somebody is given a message that its context has left: it is at work on it as long as this is current."""

    __slots__ = ()

    def __init__(self, of: Processing) -> None:
        self.number, self.message, self.habits, self.of, self.said = of.number, of.message, of.habits, of, True
        api.pause(self.number, 0)

    def __del__(self) -> None:
        if api is not None and self.of.number and not self.of.firm:
            api.pause(self.number, 1)


class Started(Processing):
    """What was started under a message: it is at work on that one, as far as its code does not make something of others.

    The code says what a send is made of: of what was given at the start, or of what others put somewhere (``_since.made_since``).
    Where it says neither, it is made of the message's, until a message was handed over that nothing was started for.

    - ``of``: what it was started under; ``root``: where its code begins: see `_root.Root`.
    - ``taken``: the processing of what it took from a queue last.
    - ``is_sure``: what it was given may well be the message's; ``idle``: what its ``habits`` had idle then.
    """

    __slots__ = ()

    def __init__(self, of: Processing, is_sure: bool, root: Any) -> None:
        self.number, self.message, self.habits, self.of, self.said = of.number, of.message, of.habits, of, of.said
        self.root, self.is_sure, self.idle = root, is_sure, of.habits.idle

    def cause(self) -> Any:
        """The processing of the message that the calling code is at, as far as that is known; or ``None``."""
        is_begun = self.of.said or self.of.is_cause_elsewhere()
        if self.taken is None and (not is_begun or not self.is_sure and self._others_came()):
            return None
        is_own = _made_since(self.root)
        if self.taken is not None and is_own is not True:
            return self.taken if is_own is not None or not self.is_sure else None
        is_known = is_own is True or is_own is None
        return self.of if is_begun and (is_known or is_own is False and not self._is_doubted()) else None

    def _others_came(self) -> bool:
        """Whether nothing was made of a message that came since."""
        last = self.habits.last
        return self.habits.idle != self.idle or not (last is None or self._is_of(last) or last.caused > 0 or _is_given(last))

    def _is_doubted(self) -> bool:
        """Whether there are messages that may be for this, whose own context made nothing of them but what it sent."""
        global _is_any_ungiven
        if _is_any_ungiven:
            return True
        for habits in api.all_habits():
            if habits.ungiven:
                _is_any_ungiven = True
                api.doubt()
                return True
            last = habits.last
            if not (last is None or self._is_of(last) or _is_given(last)):
                return True
        return False

    def _is_of(self, other: Any) -> bool:
        return other is self.of or other.number == self.number

    def is_unsure(self) -> bool:
        return self.cause() is None


#: Whether there was a message so far that nothing was started for: the program may have it still, in whatever way.
_is_any_ungiven = False


def _is_given(it: Any) -> bool:
    return bool(it.started or it.said)


class Note:
    """Somebody will send of a processing later, when its context may have gone on."""

    __slots__ = ("processing", "number", "started", "__weakref__")
    said = firm = True

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
    """Begins the processing of a message for the train ``of``, or for 0 because the program says so; ``None``: it is not traced."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if type(topic) is not str or type(partition) is not int or type(offset) is not int:
        # Made by the program itself, of nowhere.
        return None
    number = api.begin(name_of(topic), partition, offset, of)
    if number == DELIVERY_IS_GONE:
        # What the message follows from is in its headers only.
        number = api.begin_of(name_of(topic), partition, offset, *_brought(message), of)
    return _of_number(number, message, habits, of) if number else None


#: What the library says where a message was handed over too long ago, or by a call that it does not see.
DELIVERY_IS_GONE = 0xFFFF_FFFF_FFFF_FFFF


def _brought(message: Any) -> "tuple[Any, Any]":
    """The ``traceparent`` and the ``tracestate`` of the message's headers."""
    found = {}
    for name, value in message.headers() or ():
        if type(name) is str and name.lower() in ("traceparent", "tracestate"):
            found[name.lower()] = value.encode() if type(value) is str else value
    return found.get("traceparent"), found.get("tracestate")


def _of_number(number: int, message: Any, habits: Habits, of: int) -> Processing:
    it = Processing()
    it.number, it.owns = number, True
    it.train = of
    it.since = monotonic()
    it.message = message
    it.habits = habits
    return it


def leave(habits: Habits) -> None:
    """The calling context goes on to the next message of a consumer."""
    marker().asked = True
    before = habits.before
    if before is not None and not _kept.is_held(before):
        habits.before = None
    before = None
    it = current.get()
    last, habits.last = habits.last, None
    if last is not None and not _is_given(last):
        # Known now, though its own context may not have gone on yet.
        habits.ungiven += 1
    if last is it:
        last = None
    habits.is_crossing = False
    if it is not None and not it.firm:
        forsake()
        if it.habits.last is it:
            it.habits.last = None
        depart(it)
        habits.is_crossing = it.habits is not habits and it.habits.before is it
    if last is not None and sys.getrefcount(last) <= _ONLY_HERE:
        # The context that was handed it is gone.
        depart(last)
    if _kept.row:
        _kept.sweep()


def is_inherited(it: Processing) -> bool:
    """Whether another context is at it too. Its caller has one reference, in a variable, and so may that one's caller."""
    return sys.getrefcount(it) > _ALONE


def depart(it: Processing) -> None:
    """It is no longer current in its own context."""
    if it.__class__ is Started:
        # It never was the one that was handed over.
        return
    habits = it.habits
    if it.said:
        habits.skipped = 0
        return
    is_passed_on = it.started or is_inherited(it)
    if not it.sends:
        habits.left += 1
    if not is_passed_on:
        habits.ungiven += 1
    if it.sends or is_passed_on:
        if it.age > habits.longest:
            habits.longest = it.age
        if habits.left and it.sends == 1:
            habits.is_filter = True
        habits.skipped = 0
    else:
        habits.skipped = it.skipped + 1
    if it.caused or is_passed_on:
        if it.noted:
            api.pause(it.number, 1)
        return
    habits.idle += 1
    api.pause(it.number, 1)
    keep_before(habits)
    habits.before = it


def keep_before(habits: Habits) -> None:
    """Puts the last that was left without a send with the others that are kept."""
    before, habits.before = habits.before, None
    if before is not None and _kept.is_held(before):
        _kept.keep(before)


def _references_here() -> int:
    """The same as `leave` sees it itself."""
    it = Processing()
    return sys.getrefcount(it)


def _references() -> int:
    """What `is_inherited` sees of one that nobody else is at, as `leave` and `depart` call it."""

    def caller(it: Processing) -> int:
        return inner(it)

    def inner(it: Processing) -> int:
        return sys.getrefcount(it)

    it = Processing()
    return caller(it)


_ALONE, _ONLY_HERE = _references(), _references_here()


def at_hand(objects: Iterable[Any]) -> Optional[Processing]:
    """The processing whose message, value or key is among these, wherever it is; ``None`` where there is none, or several."""
    it = _kept.of_objects(objects) if _kept.row else None
    if it is None:
        for habits in api.all_habits():
            for near in (habits.last, habits.before):
                if near is not None and near.number and _kept.is_of(near, objects):
                    return near  # type: ignore[no-any-return]
    return it


def handed(message: Any, habits: Habits) -> None:
    """The calling context was handed a message by a call for one."""
    if message.error() is not None:
        return
    it = begin(message, habits, train())
    if it is None:
        return
    habits.last = it
    it.skipped = habits.skipped
    if habits.is_crossing:
        habits.is_crossing = False
        for other in api.all_habits():
            if other is not habits and other.before is not None and other.before.train == it.train:
                other.is_crossed = habits.is_crossed = True
    here = marker()
    if here.lent:
        here.handed = it
    if current.get() is None:
        enter(it)


def enter(it: Any) -> None:
    """Makes it the current one of the calling context."""
    current.set(it)
    if "opentelemetry.trace" in _LOADED:
        # What was started is asked again when a span begins.
        is_sure = it.__class__ is Started or not it.is_unsure()
        _opentelemetry.attach(it, traceparent_of(it.number) if is_sure else None)


def called_at(it: Any, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Makes the call at this, or at nothing, and is then at what was before."""
    before = current.get()
    if it is before:
        return call(*args, **kwargs)
    current.set(it)
    try:
        return call(*args, **kwargs)
    finally:
        current.set(before)


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
        # A context that is still at it would look like another one.
        forsake()
        depart(before)
    it.train = train()
    enter(it)


def context_of(it: Any) -> Optional[str]:
    """The context of what this says that the calling code is at, as a ``traceparent``; ``None`` once it has ended, or for none."""
    if it.__class__ is Started:
        it = it.cause()
    return None if it is None else traceparent_of(it.number)


def traceparent_of(number: int) -> Optional[str]:
    text = create_string_buffer(56)
    return text.value.decode() if number and api.context(number, text) else None


def _context_if_started() -> Optional[str]:
    """The context that the calling code is at, if it was started under a message; empty: it was not."""
    it = current.get()
    return context_of(it) if it.__class__ is Started else ""


_opentelemetry.context_if_started = _context_if_started
