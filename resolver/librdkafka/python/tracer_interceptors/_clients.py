"""confluent-kafka's own clients, as subclasses that know which message is current.

The classes of its C module cannot be changed. Ours take their places in the module before the package takes them from there, so
that its own subclasses, and the program's, are subclasses of ours.
"""

import sys
from types import CoroutineType
from typing import Any, Callable, Iterator, List

from . import _kept, _processing, _sends, _started, _trains
from ._note import note_once, tried
from ._processing import Habits, Processing, begin, called_at, current, depart, enter, forsake, handed, leave
from ._trains import train


def replace(cimpl: Any) -> None:
    """Puts ours in the place of what the module has."""
    _connect(cimpl)
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


def _leave(consumer: Any) -> None:
    leave(habits_of(consumer))


def _handed_by(consumer: Any, messages: Any) -> Any:
    """What one call for several messages gave, as the program is to have it; ``None``: as it is."""
    if len(messages) > 1:
        return Batch(messages, habits_of(consumer))
    for message in messages:
        handed(message, habits_of(consumer))
    return None


def _shared_by(consumer: Any, messages: Any) -> None:
    records = getattr(messages, "_records", None)
    if type(records) is list and records:
        # librdkafka calls no interceptor for these: what they follow from is in their headers.
        messages._records = Batch(records, habits_of(consumer))


def _connect(cimpl: Any) -> None:
    """Tells the library what is Python's, for its `poll` and `produce`: it does what is plain itself, and leaves the rest to these."""
    _processing.api.connect(
        current=current,
        modules=sys.modules,
        row=_kept.row,
        processing=Processing,
        habits=Habits,
        message=getattr(cimpl, "Message", None),
        started=_processing.Started,
        coroutine=CoroutineType,
        trains=vars(_trains),
        train_of_task=_trains.known,
        coroutines=_started.coroutines,
        shortest_ms=int(_processing.SHORTEST * 1000),
        longest_ms=int(_processing.LONGEST * 1000),
        train=lambda: tried(train) or 0,
        habits_of=habits_of,
        left=lambda habits: tried(leave, habits),
        given=lambda message, habits: tried(handed, message, habits),
        said=lambda value, key: tried(_sends.say, value, key),
        turn_left=lambda turns: tried(turns._leave),
        turn_entered=lambda turns, message: tried(turns._enter, message),
        refusal=lambda kind, value: tried(_refusal, cimpl, kind, value) or 0,
        with_report=lambda args, kwargs, it: tried(_sends.with_report, args, kwargs, it) or (args, kwargs),
    )


def _refusal(cimpl: Any, kind: Any, value: Any) -> int:
    """The number of the Kafka error that ``produce()`` raised, as C has it: before Python 3.12 the exception may not be made yet."""
    if issubclass(kind, BufferError):
        full = cimpl.KafkaError(cimpl.KafkaError._QUEUE_FULL)
        # Python raises it too, for a value that it cannot read.
        return int(full.code()) if str(value) == full.str() else 0
    if not issubclass(kind, cimpl.KafkaException):
        return 0
    error = value.args[0] if isinstance(value, kind) else value
    return int(error.code())


def _followed(ours: Any, name: str, original: Any) -> None:
    """Gives a class the library's method of this name."""
    method = _processing.api.method(ours, name, getattr(original, name))
    if method is None:
        raise TypeError(f"its {name} is followed already")
    setattr(ours, name, method)


def consumer_of(original: Any) -> Any:
    base_consume, base_close = original.consume, original.close

    class Consumer(original):  # type: ignore[misc]
        __slots__ = ("_tracer_interceptors",)

        def consume(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            tried(_leave, self)
            messages = base_consume(self, *args, **kwargs)
            batch = tried(_handed_by, self, messages)
            return messages if batch is None else batch

        def close(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            tried(_leave, self)
            return base_close(self, *args, **kwargs)

    _followed(Consumer, "poll", original)
    for name in ("consume", "close"):
        _documented(getattr(original, name), getattr(Consumer, name))
    if hasattr(original, "__exit__"):
        base_exit = original.__exit__

        def __exit__(self, *args):  # type: ignore[no-untyped-def]
            # In C it closes without asking for `close`.
            tried(_leave, self)
            return base_exit(self, *args)

        Consumer.__exit__ = __exit__  # type: ignore[attr-defined]
    return Consumer


def share_consumer_of(original: Any) -> Any:
    base_poll, base_close = original.poll, original.close

    class ShareConsumer(original):  # type: ignore[misc]
        __slots__ = ("_tracer_interceptors",)

        def poll(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            tried(_leave, self)
            messages = base_poll(self, *args, **kwargs)
            tried(_shared_by, self, messages)
            return messages

        def close(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            tried(_leave, self)
            return base_close(self, *args, **kwargs)

    for name in ("poll", "close"):
        _documented(getattr(original, name), getattr(ShareConsumer, name))
    return ShareConsumer


def producer_of(original: Any) -> Any:
    base_poll, base_flush = original.poll, original.flush

    class Producer(original):  # type: ignore[misc]
        __slots__ = ()

        def poll(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            # What is sent where deliveries are reported follows from what was sent long ago.
            return called_at(None, base_poll, self, *args, **kwargs)

        def flush(self, *args, **kwargs):  # type: ignore[no-untyped-def]
            return called_at(None, base_flush, self, *args, **kwargs)

    _followed(Producer, "produce", original)
    for name in ("poll", "flush"):
        _documented(getattr(original, name), getattr(Producer, name))
    base_batch = getattr(original, "produce_batch", None)
    if base_batch is not None:

        def produce_batch(self, topic, messages, *args, **kwargs):  # type: ignore[no-untyped-def]
            return _send_batch(base_batch, self, topic, messages, args, kwargs)

        Producer.produce_batch = _documented(base_batch, produce_batch)  # type: ignore[attr-defined]
    return Producer


def _send_batch(call: Callable[..., Any], producer: Any, topic: Any, messages: Any, args: Any, kwargs: Any) -> Any:
    """``produce_batch()``, in as many calls as there are runs of records with the same cause."""
    runs = None
    if type(messages) is list and any(map(_sends.is_noted, messages)):
        runs = tried(_sends.runs, messages)
    if runs is None:
        it = tried(lambda: _sends.cause(None, None, train()))
        return _send_run(call, it, producer, topic, messages, args, kwargs)
    return sum(_send_run(call, it, producer, topic, records, args, kwargs) for it, records in runs)


def _send_run(call: Callable[..., Any], it: Any, producer: Any, topic: Any, messages: Any, args: Any, kwargs: Any) -> Any:
    api = _processing.api
    if type(it) is _sends.OfSpan:
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
    __slots__ = ("_habits", "_begun")

    def __init__(self, messages: List[Any], habits: Habits) -> None:
        super().__init__(messages)
        self._habits = habits
        self._begun: Any = set()

    def __iter__(self) -> Iterator[Any]:
        return _Turns(self, super().__iter__())

    def __reduce__(self) -> Any:
        return (list, (list(super().__iter__()),))


class _Turns(_processing.api.Turns):  # type: ignore[misc, name-defined]
    """A loop over a `Batch`. The library goes on to the next message itself: these are for what is not plain there."""

    __slots__ = ()

    def __init__(self, batch: Batch, messages: Iterator[Any]) -> None:
        self.messages, self.begun, self.habits = messages, batch._begun, batch._habits

    def __iter__(self) -> "_Turns":
        return self

    def __del__(self) -> None:
        # Of what comes after the loop's early end nothing says which of them it is for.
        if self.last is not None:
            tried(self._leave)

    def __length_hint__(self) -> int:
        return self.messages.__length_hint__()  # type: ignore[no-any-return]

    def _leave(self) -> None:
        it, self.last = self.last, None
        if it is None:
            return
        if current.get() is it:
            forsake()
        if not it.started:
            it.habits.ungiven += 1
        if it.sends or it.started:
            if it.noted:
                _processing.api.pause(it.number, 1)
        else:
            # It was not sent of: it may be still.
            it.habits.left += 1
            it.habits.idle += 1
            _processing.api.pause(it.number, 1)
            _kept.keep(it)

    def _enter(self, message: Any) -> None:
        before = current.get()
        if before is not None and before.firm or message.error() is not None:
            return
        if before is not None:
            forsake()
            depart(before)
        if _kept.row:
            _kept.sweep()
        if id(message) in self.begun:
            # A second loop: it has its span already.
            it = _kept.of_objects((message,))
        else:
            self.begun.add(id(message))
            it = begin(message, self.habits, train())
        if it is not None:
            it.said = True
            self.last = it
            enter(it)
