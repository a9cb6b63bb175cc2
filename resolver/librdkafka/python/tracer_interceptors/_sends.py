"""What a send follows from, told to the library right before it, on the same thread."""

import sys
from typing import Any, Callable, Dict, List, Tuple

from . import _kept, _opentelemetry, _processing
from ._processing import Note, Processing, Started, current
from ._root import Root
from ._trains import train

_LOADED = sys.modules

#: The key under which a record of ``AIOProducer``'s buffer has its `Note`.
NOTED = "tracer_interceptors"


def say(value: Any, key: Any) -> Any:
    """Says what the next send of this thread follows from, and gives its processing, if it is one."""
    api = _processing.api
    if "opentelemetry.trace" in _LOADED:
        parent = _opentelemetry.parent()
        if parent is not None:
            api.next_send_of(parent[0], parent[1], None)
            return current.get()
    here = train()
    it = cause(value, key, here)
    # With the number of the train, by which the answer to its own request is known.
    if it is None:
        api.next_send(0, here)
    else:
        api.next_send(it.number, 0 if it.said else here)
    return it


def cause(value: Any, key: Any, here: int) -> Any:
    """What a record of this value and key follows from, which the train ``here`` sends."""
    it = current.get()
    if it is not None and it.firm:
        return it
    if it is not None and it.train == here and not it.said:
        # By the order only: of an earlier one of a list, if it passes that one's own value on.
        if it.habits.before is not None:
            _processing.keep_before(it.habits)
        known = _kept.of_objects((value, key)) if _kept.row else None
        if known is None:
            is_cause = it.is_cause_here()
            if not is_cause and not _kept.is_of(it, (value, key)):
                return None
            it.caused += not is_cause
            return it
    else:
        # What passes a message's own value on follows from that message, in whatever context.
        known = _processing.at_hand((value, key))
    at = at_elsewhere(it, here)
    if known is None or known is at:
        if at is None:
            if known is not None:
                known.caused += 1
            return known
        at.sends += 1
        at.caused += 1
        return at
    it = at
    if it is not None:
        it.sends += 1
    known.caused += 1
    if known.number and known.habits.last is not known:
        # The work on it went on until now.
        _processing.api.pause(known.number, 1)
        _kept.sweep()
    return known


def at_elsewhere(it: Any, here: int) -> Any:
    """What the train ``here`` is at, in whose context this is current, that was handed over to another."""
    if it is None or it.firm or it.__class__ is not Started and (it.__class__ is not Processing or it.train == here):
        return it
    if it.__class__ is Processing:
        # The context was passed on by a way of the program's, or of trio's.
        it = Started(it, True, Root.of_task())
    return it.cause()


def reported(report: Callable[..., Any], it: Any) -> Callable[..., Any]:
    """The program's delivery report, in which the message is current that was so when the record was sent."""
    note = it if it.__class__ is Note else Note(it)

    def on_delivery(*args: Any, **kwargs: Any) -> Any:
        token = current.set(note)
        try:
            return report(*args, **kwargs)
        finally:
            current.reset(token)

    return on_delivery


def with_report(args: Tuple[Any, ...], kwargs: Dict[str, Any], it: Any) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
    """The arguments of ``produce()``, with `reported` in the place of the delivery report."""
    for name in ("on_delivery", "callback"):
        if kwargs.get(name) is not None:
            return args, {**kwargs, name: reported(kwargs[name], it)}
    for place in (4, 5):
        if len(args) > place and callable(args[place]):
            return (*args[:place], reported(args[place], it), *args[place + 1 :]), kwargs
    return args, kwargs


def note(value: Any, key: Any) -> Any:
    """What a record of this value and key follows from that the calling context gives away to be sent later."""
    parent = _opentelemetry.parent() if "opentelemetry.trace" in _LOADED else None
    if parent is not None:
        return OfSpan(parent)
    it = cause(value, key, train())
    return it if it is None or it.__class__ is Note else Note(it)


class OfSpan:
    """As `Note`, of a span of the program's own."""

    __slots__ = ("parent",)

    def __init__(self, parent: Any) -> None:
        self.parent = parent


def is_noted(record: Any) -> bool:
    """Whether a record of a batch has with it what it follows from."""
    return type(record) is dict and NOTED in record


def runs(records: List[Any]) -> List[Tuple[Any, List[Any]]]:
    """The records of a batch, in runs of the same cause."""
    runs: List[Tuple[Any, List[Any]]] = []
    for record in records:
        noted = record.pop(NOTED) if is_noted(record) else None
        last = runs[-1][0] if runs else None
        same = runs and (noted is last or getattr(noted, "number", 0) == getattr(last, "number", -1))
        if same and type(noted) is not OfSpan:
            runs[-1][1].append(record)
        else:
            runs.append((noted, [record]))
    return runs
