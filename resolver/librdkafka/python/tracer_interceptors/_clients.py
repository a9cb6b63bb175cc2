"""confluent-kafka's own clients, as subclasses that know which message is current.

The classes of its C module cannot be changed. Ours take their places in the module before the package takes them from there, so
that its own subclasses, and the program's, are subclasses of ours.
"""

import sys
from time import monotonic
from typing import Any, Callable, Iterator, List

from . import _kept, _processing, _sends, _trains
from ._note import note_once
from ._processing import Habits, Processing, begin, begin_late, current, depart, enter, forsake, handed, leave
from ._trains import train


# What makes a thread more than one train, or a send follow from more than a message.
_greenlets, _spans = "greenlet", "opentelemetry.trace"


def replace(cimpl: Any) -> None:
    """Puts ours in the place of what the module has."""
    for name, make in (("Consumer", consumer_of), ("Producer", producer_of), ("ShareConsumer", share_consumer_of)):
        original = getattr(cimpl, name, None)
        if original is None:
            if name != "ShareConsumer":
                note_once(f"this confluent-kafka has no {name}: parents of what it sends are not known exactly")
            continue
        try:
            ours = make(original)
        except (TypeError, AttributeError) as error:
            note_once(f"confluent-kafka's {name} cannot be extended ({error}): parents are not known exactly")
            continue
        ours.__name__, ours.__qualname__, ours.__module__ = name, original.__qualname__, original.__module__
        ours.__doc__ = original.__doc__
        setattr(cimpl, name, ours)
    cimpl._tracer_interceptors = True


def _documented(original: Any, ours: Any) -> Any:
    """The method, which says of itself what the original says."""
    ours.__doc__, ours.__name__ = original.__doc__, original.__name__
    ours.__qualname__ = getattr(original, "__qualname__", original.__name__)
    return ours


def habits_of(consumer: Any) -> Habits:
    try:
        return consumer._tracer_interceptors  # type: ignore[no-any-return]
    except AttributeError:
        consumer._tracer_interceptors = habits = Habits()
        return habits


def consumer_of(original: Any) -> Any:
    base_poll, base_consume, base_close = original.poll, original.consume, original.close
    left, given, quietly, get, put = leave, handed, _quietly, current.get, current.set
    row, loaded, threads, now, topics = _kept.row, sys.modules, _trains.threads, monotonic, _processing.topics
    begin_here, make, trains = _processing.api.begin, Processing, _trains

    class Consumer(original):  # type: ignore[misc]
        __slots__ = ("_tracer_interceptors",)

        def poll(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            try:
                habits = self._tracer_interceptors
            except AttributeError:
                habits = habits_of(self)
            it = get()
            plain = it is not None and it.plain and it.sends and not it.noted and it is habits.last and not row
            if not plain or habits.before is not None or _spans in loaded:
                # Whoever is at it is counted by the references.
                it = None
                _try(left, habits)
            else:
                # The plain loop, as `leave` has it for all.
                habits.last = None
                habits.skipped = 0
                if it.age > habits.longest:
                    habits.longest = it.age
                put(None)
            # With this it ends, unless something that it started is still at it.
            it = None
            message = base_poll(self, *args, **kwargs)
            if message is None:
                return None
            try:
                here = threads.marker
                if here.lent or trains.running() is not None or habits.skipped or _greenlets in loaded or _spans in loaded:
                    given(message, habits)
                elif message.error() is None and get() is None:
                    # The same as `handed`, on a thread that is one train.
                    of = here.number
                    number = begin_here(topics[message.topic()], message.partition(), message.offset(), of)
                    if number:
                        habits.last = it = make()
                        it.number = number
                        it.train = of
                        it.since = now()
                        it.message = message
                        it.habits = habits
                        put(it)
            except (AttributeError, KeyError):
                # The thread's first, or the topic's.
                _try(given, message, habits)
            except Exception as error:
                quietly(error)
            return message

        def consume(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            habits = habits_of(self)
            _try(leave, habits)
            messages = base_consume(self, *args, **kwargs)
            if len(messages) == 1:
                _try(handed, messages[0], habits)
            return Batch(messages, habits) if len(messages) > 1 else messages

        def close(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            _try(leave, habits_of(self))
            return base_close(self, *args, **kwargs)

    for name in ("poll", "consume", "close"):
        _documented(getattr(original, name), getattr(Consumer, name))
    if hasattr(original, "__exit__"):
        base_exit = original.__exit__

        def __exit__(self, *args):  # type: ignore[no-untyped-def]
            # In C it closes without asking for `close`.
            _try(leave, habits_of(self))
            return base_exit(self, *args)

        Consumer.__exit__ = __exit__  # type: ignore[attr-defined]
    return Consumer


def share_consumer_of(original: Any) -> Any:
    base_poll, base_close = original.poll, original.close

    class ShareConsumer(original):  # type: ignore[misc]
        __slots__ = ("_tracer_interceptors",)

        def poll(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            habits = habits_of(self)
            _try(leave, habits)
            messages = base_poll(self, *args, **kwargs)
            records = getattr(messages, "_records", None)
            if records.__class__ is list and records:
                messages._records = Batch(records, habits)
            return messages

        def close(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            _try(leave, habits_of(self))
            return base_close(self, *args, **kwargs)

    for name in ("poll", "close"):
        _documented(getattr(original, name), getattr(ShareConsumer, name))
    return ShareConsumer


def producer_of(original: Any) -> Any:
    base_produce, base_poll, base_flush = original.produce, original.poll, original.flush
    say, quietly, get, row, threads = _sends.say, _quietly, current.get, _kept.row, _trains.threads
    next_send, loaded, now, shortest = _processing.api.next_send, sys.modules, monotonic, _processing.SHORTEST
    trains = _trains

    class Producer(original):  # type: ignore[misc]
        __slots__ = ()

        def produce(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            count = len(args)
            try:
                it = get()
                # The plain loop of a thread that is one train, as `say` has it for all.
                if (
                    it is not None
                    and it.plain
                    and not row
                    and it.train == threads.marker.number
                    and trains.running() is None
                    and _greenlets not in loaded
                    and _spans not in loaded
                    and now() - it.since < shortest
                ):
                    it.sends += 1
                    next_send(it.number, it.train)
                else:
                    it = say(args[1] if count > 1 else kwargs.get("value"), args[2] if count > 2 else kwargs.get("key"))
                if it is not None and (count > 4 or "on_delivery" in kwargs or "callback" in kwargs):
                    args, kwargs = _sends.with_report(args, kwargs, it)
            except AttributeError:
                # The thread's first.
                it = _try(say, args[1] if count > 1 else kwargs.get("value"), args[2] if count > 2 else kwargs.get("key"))
            except Exception as error:
                quietly(error)
            try:
                return base_produce(self, *args, **kwargs)
            except BaseException:
                # It may not have come so far that what was said of it was taken.
                next_send(0, 0)
                raise

        def poll(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            return _without_message(base_poll, self, args, kwargs)

        def flush(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            return _without_message(base_flush, self, args, kwargs)

    for name in ("produce", "poll", "flush"):
        _documented(getattr(original, name), getattr(Producer, name))
    base_batch = getattr(original, "produce_batch", None)
    if base_batch is not None:

        def produce_batch(self, topic, messages, *args, **kwargs):  # type: ignore[no-untyped-def]
            return _send_batch(base_batch, self, topic, messages, args, kwargs)

        Producer.produce_batch = _documented(base_batch, produce_batch)  # type: ignore[attr-defined]
    return Producer


def _without_message(call: Callable[..., Any], producer: Any, args: Any, kwargs: Any) -> Any:
    """A call that reports deliveries: what is sent there follows from what was sent long ago."""
    it = current.get()
    if it is None:
        return call(producer, *args, **kwargs)
    current.set(None)
    try:
        return call(producer, *args, **kwargs)
    finally:
        current.set(it)


def _send_batch(call: Callable[..., Any], producer: Any, topic: Any, messages: Any, args: Any, kwargs: Any) -> Any:
    """``produce_batch()``, in as many calls as there are runs of records with the same cause."""
    runs = None
    if isinstance(messages, list) and any(isinstance(record, dict) and _sends.NOTED in record for record in messages):
        runs = _try(_sends.runs, messages)
    if runs is None:
        it = _try(_sends.cause, None, None, train())
        return _send_run(call, it, producer, topic, messages, args, kwargs)
    return sum(_send_run(call, it, producer, topic, records, args, kwargs) for it, records in runs)


def _send_run(call: Callable[..., Any], it: Any, producer: Any, topic: Any, messages: Any, args: Any, kwargs: Any) -> Any:
    api = _processing.api
    if isinstance(it, _sends.OfSpan):
        # One record.
        api.next_send_of(it.parent[0], it.parent[1], None)
        try:
            return call(producer, topic, messages, *args, **kwargs)
        finally:
            api.next_send(0, 0)
    before = api.make_current(it.number if it is not None else 0)
    try:
        return call(producer, topic, messages, *args, **kwargs)
    finally:
        api.make_current(before)


class Batch(list):  # type: ignore[type-arg]
    """What one call for several messages gave: a loop over it makes each message current in its turn."""

    # What a list has no room for: it stays one in everything else, its equality too.
    __slots__ = ("_habits", "_begun", "_since")

    def __init__(self, messages: List[Any], habits: Habits) -> None:
        super().__init__(messages)
        self._habits = habits
        self._begun: Any = set()
        self._since = monotonic()

    def __iter__(self) -> Iterator[Any]:
        return _Turns(self, super().__iter__())

    def __reduce__(self) -> Any:
        return (list, (list(super().__iter__()),))


class _Turns:
    """A loop over a `Batch`."""

    __slots__ = ("_batch", "_messages", "_last")

    def __init__(self, batch: Batch, messages: Iterator[Any]) -> None:
        self._batch, self._messages = batch, messages
        self._last: Any = None

    def __iter__(self) -> "_Turns":
        return self

    def __next__(self) -> Any:
        _try(self._leave)
        message = next(self._messages)
        _try(self._enter, message)
        return message

    def __length_hint__(self) -> int:
        return self._messages.__length_hint__()  # type: ignore[attr-defined, no-any-return]

    def _leave(self) -> None:
        it, self._last = self._last, None
        if it is None:
            return
        if current.get() is it:
            forsake()
        if it.sends or it.started:
            if it.noted:
                _processing.api.pause(it.number, 1)
        else:
            # It was not sent of: it may be still.
            _processing.api.pause(it.number, 1)
            _kept.keep(it)

    def _enter(self, message: Any) -> None:
        batch = self._batch
        before = current.get()
        if before is not None and before.firm or message.error() is not None:
            return
        if before is not None:
            forsake()
            depart(before)
        if _kept.row:
            _kept.sweep()
        if id(message) in batch._begun:
            # A second loop: it has its span already.
            it = _kept.of_objects((message,))
        else:
            batch._begun.add(id(message))
            late = monotonic() - batch._since > HANDED_OVER
            habits, of = batch._habits, train()
            it = begin_late(message, habits, of, *brought(message)) if late else begin(message, habits, of)
        if it is not None:
            it.said, it.plain = True, False
            self._last = it
            enter(it)


#: Seconds after which the span of a delivery may be gone.
HANDED_OVER = 1.5


def brought(message: Any) -> "tuple[Any, Any]":
    """The ``traceparent`` and the ``tracestate`` of the message's headers."""
    found = {}
    for name, value in message.headers() or ():
        if isinstance(name, str) and name.lower() in ("traceparent", "tracestate"):
            found[name.lower()] = value.encode() if isinstance(value, str) else value
    return found.get("traceparent"), found.get("tracestate")


def _try(function: Callable[..., Any], *args: Any) -> Any:
    """What tracing does never fails the program's call."""
    try:
        return function(*args)
    except Exception as error:
        _quietly(error)
        return None


def _quietly(error: Exception) -> None:
    note_once(f"a message is traced without its parent, because of a defect of ours: {type(error).__name__}: {error}")
