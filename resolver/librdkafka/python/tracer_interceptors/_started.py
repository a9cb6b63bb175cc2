"""What is started while a message is current, or is given one, is at work on that message: tasks, threads, jobs of a pool, greenlets.

asyncio's tasks inherit the context by themselves. Threads, jobs of a pool and greenlets are given nothing but the one variable.
"""

import threading
from concurrent.futures import thread as _pools
from contextvars import Context
from functools import partial, wraps
from typing import Any, Callable, Iterable
from weakref import ref

from . import _kept
from ._processing import Note, Processing, Turn, at_hand, current, enter, forsake
from ._trains import marker, train

_worker = getattr(_pools, "_worker", None)


def given(objects: Iterable[Any]) -> Any:
    """What something is at work on that starts now in the calling context with these arguments."""
    it = current.get()
    if it is not None and it.__class__ is not Note:
        if it.skipped and any(one is it.message for one in objects):
            # Were it the last of a list, it is the one that is meant.
            it.skipped = 0
        elif _kept.row or it.skipped:
            other = at_hand(objects)
            if other is not None and other is not it:
                return Turn(other)
        it.started = True
    elif it is None and objects:
        other = at_hand(objects)
        return None if other is None else Turn(other)
    return it


def replace() -> None:
    """Lets threads and jobs begin with what they are given."""
    pool = _pools.ThreadPoolExecutor
    pool.submit = _submit_of(pool.submit)  # type: ignore[method-assign]
    threading.Thread.start = _start_of(threading.Thread.start)  # type: ignore[method-assign]


def _submit_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        # Each job leaves its thread at no message, for the next one.
        return original(self, _Job(fn, args), *args, **kwargs)

    return submit


class _Job:
    """A job of a pool: begins at the message that it is given, or that was current where it was submitted."""

    __slots__ = ("_function", "_processing", "_awaited")

    def __init__(self, function: Callable[..., Any], args: Any) -> None:
        self._function = function
        self._awaited = function if function.__class__ is _Awaited else None
        self._processing = given(args if self._awaited is None else (*args, *self._awaited.args()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        it, self._processing = self._processing, None
        here, awaited = marker(), self._awaited
        here.lend(0 if awaited is None else awaited.train)
        if it is not None:
            enter(it)
            if awaited is not None:
                awaited.enter(it)
            del it
        try:
            return self._function(*args, **kwargs)
        finally:
            if awaited is not None and here.handed is not None:
                awaited.handed = ref(here.handed)
            here.lend(0)
            if current.get() is not None:
                forsake()


class _Awaited:
    """A function that a pool runs on behalf of a task, which waits for it."""

    __slots__ = ("_function", "train", "handed")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.train = train()
        #: The processing of the message that the pool's thread was handed meanwhile; weakly, for this is no work on it.
        self.handed: Any = None

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def taken(self) -> Any:
        """What was handed, for the task that awaits it."""
        return None if self.handed is None else self.handed()

    def args(self) -> Any:
        """What it is given by ``asyncio.to_thread()``."""
        return self._function.args if self._function.__class__ is partial else ()  # type: ignore[attr-defined]

    def enter(self, it: Any) -> None:
        """Makes it current in the copy of the context in which ``asyncio.to_thread()`` calls."""
        context = getattr(getattr(self._function, "func", None), "__self__", None)
        if context.__class__ is Context and context.get(current) is not it:
            context.run(current.set, it)


def _start_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def start(self):  # type: ignore[no-untyped-def]
        if not _is_service(self):
            it = given(getattr(self, "_args", ()))
            if it is not None:
                _begin_with(self, it)
        return original(self)

    return start


def _is_service(thread: threading.Thread) -> bool:
    """Whether it is none of the message's work, though it begins in its course: a pool's, or a daemon that is given nothing."""
    target = getattr(thread, "_target", None)
    given_something = getattr(thread, "_args", ()) or getattr(thread, "_kwargs", None)
    return target is _worker or thread.daemon and not given_something


def _begin_with(thread: threading.Thread, it: Any) -> None:
    """Lets the thread's `run` begin at this message."""
    box = [it]
    run = thread.run

    def begin() -> None:
        del thread.run  # type: ignore[misc]
        enter(box.pop())
        run()

    thread.run = begin  # type: ignore[method-assign]


def event_loop(kind: Any) -> None:
    """Lets a class of event loops say which tasks it starts, and give what its pools were handed to the tasks that wait for it."""
    kind.create_task = _create_task_of(kind.create_task)
    kind.run_in_executor = _run_in_executor_of(kind.run_in_executor)


def _create_task_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def create_task(self, coro, *args, **kwargs):  # type: ignore[no-untyped-def]
        frame = getattr(coro, "cr_frame", None)
        # A coroutine that has not begun has nothing but its arguments.
        it = given(list(frame.f_locals.values()) if frame is not None and _may_be_given() else ())
        if it is None or it is current.get():
            return original(self, coro, *args, **kwargs)
        before = current.get()
        current.set(it)
        try:
            return original(self, coro, *args, **kwargs)
        finally:
            current.set(before)

    return create_task


def _may_be_given() -> bool:
    """Whether it matters what arguments something is started with."""
    it = current.get()
    return bool(_kept.row) or it is None or it.__class__ is Processing and it.skipped > 0


def _run_in_executor_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def run_in_executor(self, executor, func, *args):  # type: ignore[no-untyped-def]
        if not callable(func):
            return original(self, executor, func, *args)
        if executor is not None and not isinstance(executor, _pools.ThreadPoolExecutor):
            return original(self, executor, func, *args)
        from ._futures import Adopting  # asyncio is there by now.

        awaited = _Awaited(func)
        return Adopting.of(original(self, executor, awaited, *args), awaited)

    return run_in_executor


def gevent(module: Any) -> None:
    """Lets gevent's greenlets, and the jobs of its pools of threads, begin with what they are given."""

    def started(greenlet: Any) -> None:
        _begin_in(greenlet, getattr(greenlet, "args", ()))

    module.Greenlet.add_spawn_callback(started)


def gevent_pool(module: Any) -> None:
    """The same for the jobs of its pools of threads."""
    module.ThreadPool.spawn = _submit_of(module.ThreadPool.spawn)


def eventlet(module: Any) -> None:
    """Lets eventlet's greenlets begin with what they are given."""
    kind = module.GreenThread
    original = kind.__init__

    @wraps(original)
    def __init__(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        original(self, *args, **kwargs)
        _begin_in(self, ())

    kind.__init__ = __init__


def _begin_in(greenlet: Any, objects: Iterable[Any]) -> None:
    """Lets a greenlet that has not begun be at what it is given; one that brings a context of its own keeps that."""
    it = given(objects)
    if it is not None and greenlet.gr_context is None:
        context = Context()
        context.run(enter, it)
        greenlet.gr_context = context
