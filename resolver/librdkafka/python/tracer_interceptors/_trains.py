"""Trains of thought: what runs in the order of its own code, and is interrupted by others only where it waits."""

import sys
import threading
import weakref
from contextvars import ContextVar
from itertools import count
from typing import Any

_NUMBERS = count(1)
_LOADED = sys.modules


class Marker:
    """Stands for a thread, which has no object of its own that is cheap to come by."""

    __slots__ = ("lent", "handed", "__weakref__")

    def __init__(self) -> None:
        #: The number of the train whose call this thread makes at the moment, as one of a pool; 0: of none.
        self.lent = 0
        #: What the thread was handed during that call.
        self.handed: Any = None


_threads = threading.local()
_known: ContextVar[Any] = ContextVar("tracer_interceptors.train", default=(lambda: None, 0))


def marker() -> Marker:
    """The one of the calling thread."""
    try:
        return _threads.marker  # type: ignore[no-any-return]
    except AttributeError:
        _threads.marker = Marker()
        return _threads.marker  # type: ignore[no-any-return]


def train() -> int:
    """The number of the task, the greenlet or the thread that calls. None is given twice."""
    who: Any = None
    events = _LOADED.get("_asyncio")
    if events is not None:
        loop = events._get_running_loop()
        if loop is not None:
            who = _LOADED["asyncio"].current_task(loop)
    if who is None:
        greenlets = _LOADED.get("greenlet")
        if greenlets is not None:
            who = greenlets.getcurrent()
            if who.parent is None:
                who = None
    if who is None:
        who = marker()
        if who.lent:
            return who.lent  # type: ignore[no-any-return]
    known, number = _known.get()
    if known() is who:
        return number  # type: ignore[no-any-return]
    number = next(_NUMBERS)
    _known.set((weakref.ref(who), number))
    return number
