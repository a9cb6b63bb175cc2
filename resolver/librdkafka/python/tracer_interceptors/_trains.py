"""Trains of thought: what runs in the order of its own code, and is interrupted by others only where it waits."""

import sys
import threading
import weakref
from contextvars import ContextVar
from typing import Any, Callable

from . import _library

_new: Callable[[], int] = _library.find().new_train  # type: ignore[union-attr]
_lend: Callable[[int], None] = _library.find().lend  # type: ignore[union-attr]
_LOADED = sys.modules


class Marker:
    """Stands for a thread, which has no object of its own that is cheap to come by."""

    __slots__ = ("number", "lent", "handed", "asked")

    def __init__(self) -> None:
        self.number = _library.find().train_of_thread()  # type: ignore[union-attr]
        #: The number of the train whose call this thread makes at the moment, as one of a pool; 0: of none.
        self.lent = 0
        #: What the thread was handed during that call.
        self.handed: Any = None
        #: Whether it asked for messages during that call.
        self.asked = False

    def lend(self, train: int) -> None:
        """The thread makes a call for another train from now on; 0: for none."""
        self.lent, self.handed, self.asked = train, None, False
        _lend(train)


#: `marker` of each thread that has asked for one.
threads = threading.local()
#: The task, weakly, and its number, of the context that calls.
known: ContextVar[Any] = ContextVar("tracer_interceptors.train", default=(lambda: None, 0))


def marker() -> Marker:
    """The one of the calling thread."""
    try:
        return threads.marker  # type: ignore[no-any-return]
    except AttributeError:
        threads.marker = Marker()
        return threads.marker  # type: ignore[no-any-return]


def _no_loop() -> None:
    """There is no asyncio."""


#: Gives the event loop that calls, if one does. Set when the program imports asyncio: nothing here does.
running: Callable[[], Any] = _no_loop


def event_loops(module: Any) -> None:
    """asyncio is there."""
    global running
    running = module._get_running_loop


def train() -> int:
    """The number of the task, the greenlet or the thread that calls. None is given twice."""
    if running() is not None or "greenlet" in _LOADED or "trio" in _LOADED:
        who = _task_or_greenlet()
        if who is not None:
            task, number = known.get()
            if task() is not who:
                number = _new()
                known.set((weakref.ref(who), number))
            return number  # type: ignore[no-any-return]
    here = marker()
    return here.lent or here.number


def _task_or_greenlet() -> Any:
    loop = running()
    if loop is not None:
        task = _LOADED["asyncio"].current_task(loop)
        if task is not None:
            return task
    trio = _LOADED.get("trio.lowlevel")
    if trio is not None:
        try:
            return trio.current_task()
        except RuntimeError:  # There is none in this thread.
            pass
    greenlets = _LOADED.get("greenlet")
    if greenlets is not None:
        greenlet = greenlets.getcurrent()
        # The one that a thread begins with stands for the thread.
        if greenlet.parent is not None:
            return greenlet
    return None
