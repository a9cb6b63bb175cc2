"""What is started while a message is current, or is given one, is at work on that message: tasks, threads, jobs of a pool, greenlets.

asyncio's tasks inherit the context by themselves. Threads, jobs of a pool and greenlets are given nothing but the one variable.
"""

import threading
from collections import deque
from concurrent.futures import thread as _pools
from contextvars import Context
from functools import partial, wraps
from types import FunctionType, MethodType, ModuleType
from typing import Any, Callable, Iterable, List
from weakref import ref

from . import _kept
from ._note import tried
from ._processing import Note, Started, Turn, adopt, api, at_hand, called_at, current, enter, forsake
from ._root import DATA, SOURCE, TOOL, Root, names_of
from ._trains import marker, train

_worker = getattr(_pools, "_worker", None)


def given(objects: List[Any], is_sure: bool = True, root: Any = None, is_mark: bool = True) -> Any:
    """What something is at work on that starts now in the calling context with these objects; sure: they may well be the message's.
    Its code begins at the root. It is marked that something was started of it, unless whoever calls does that."""
    if is_mark:
        plain = api.given(objects, is_sure, root)
        if plain is not NotImplemented:
            return plain
    it = at(objects, is_mark)
    if it is None or it.firm:
        return it
    return Started(it, is_sure or _kept.is_of(it, objects), root)


def given_as(of: Callable[..., Any], *args: Any) -> Any:
    """The same of what `of` says of these. The program's call never fails by it."""
    return tried(lambda: given(*of(*args)))


def at(objects: Iterable[Any], is_mark: bool = True) -> Any:
    """The processing of the message that is passed on now by the calling context with these objects."""
    it = current.get()
    if it is None:
        other = at_hand(objects) if objects else None
        return None if other is None else _turn(other)
    if it.__class__ is Note:
        return it
    if it.__class__ is Started:
        other = at_hand(objects) if objects else None
        it = it.cause() if other is None else _turn(other)
    elif _kept.is_of(it, objects):
        # Were it the last of a list, it is the one that is meant.
        it.skipped = 0
    else:
        if _kept.row or it.skipped or it.habits.before is not None:
            other = at_hand(objects)
            if other is not None and other is not it:
                return _turn(other)
        if not it.said and it.train == train() and (it.habits.is_crossed or it.others_wait()):
            # It may be for one of those.
            return None
    if it is not None and is_mark:
        it.started = True
    return it


def _turn(other: Any) -> Turn:
    other.started = True
    return Turn(other)


def is_sure(args: Iterable[Any]) -> bool:
    """Whether these arguments have something that can be a message's: data, and nothing that more of it comes from."""
    found = False
    for one in args:
        kind = type(one)
        if kind in DATA:
            found = True
        elif kind not in _NO_DATA:
            if any(hasattr(kind, name) for name in SOURCE):
                return False
            found = found or not (callable(one) or any(hasattr(kind, name) for name in TOOL))
    return found


#: These say nothing of their own, or are changed by whoever likes.
_NO_DATA = frozenset((float, bool, type(None), list, set, deque, ModuleType))



def _of_call(function: Any, args: Iterable[Any], named: Any = None) -> "tuple[list[Any], bool, Any]":
    """The objects that a call is given, whether they are sure, and where its code begins: what a function has from around it is not."""
    objects, named = [*args], {**(named or {})}
    while function.__class__ is partial:
        objects[:0] = function.args
        named = {**function.keywords, **named}
        function = function.func
    sure = is_sure((*objects, *named.values()))
    own = [function.__self__] if function.__class__ is MethodType else []
    function = getattr(function, "__func__", function)
    root = _root(getattr(function, "__code__", None), [*own, *objects], named)
    objects.extend(named.values())
    for cell in getattr(function, "__closure__", None) or ():
        try:
            objects.append(cell.cell_contents)
        except ValueError:  # Nothing is in it yet.
            continue
    objects += getattr(function, "__defaults__", None) or ()
    return objects, sure, root


def _root(code: Any, args: Iterable[Any], named: Any) -> Root:
    """Where the code of a function begins that is called with these."""
    names = () if code is None else code.co_varnames[: code.co_argcount]
    return Root.of(code, {**dict(zip(names, args)), **named})


def replace() -> None:
    """Lets threads and jobs begin with what they are given."""
    pool = _pools.ThreadPoolExecutor
    pool.submit = _submit_of(pool.submit)  # type: ignore[method-assign]
    threading.Thread.start = _start_of(threading.Thread.start)  # type: ignore[method-assign]


def _submit_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        # Each job leaves its thread at no message, for the next one.
        return original(self, _Job(fn, args, kwargs), *args, **kwargs)

    return submit


class _Job:
    """A job of a pool: begins at the message that it is given, or that was current where it was submitted."""

    __slots__ = ("_function", "_processing", "_awaited")

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._function = function
        self._awaited = awaited = function if function.__class__ is Awaited else None
        if awaited is None:
            self._processing = given_as(_of_call, function, args, kwargs)
        else:
            self._processing = tried(awaited.begin, args)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        it, self._processing = self._processing, None
        awaited = self._awaited
        if it is not None:
            tried(enter, it)
            if awaited is not None:
                tried(awaited.enter, it)
            del it
        try:
            return self._function(*args, **kwargs) if awaited is None else awaited.run(*args, **kwargs)
        finally:
            if current.get() is not None:
                tried(forsake)


class Awaited:
    """A function that a pool runs on behalf of a task, which waits for it."""

    __slots__ = ("_function", "train", "handed", "of")

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.train = tried(train) or 0
        #: The processing of the message that the pool's thread was handed meanwhile; weakly, for this is no work on it.
        self.handed: Any = None
        #: The processing in whose course it is called.
        self.of: Any = None

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """The call, by the pool's thread."""
        here = marker()
        here.lend(self.train)
        try:
            return self._function(*args, **kwargs)
        finally:
            if here.handed is not None:
                self.handed = ref(here.handed)
            if self.of is not None and not here.asked:
                # A call for messages is no work on the one before.
                self.of.started = True
            self.of = None
            here.lend(0)

    def adopt(self) -> None:
        """The task that awaits it is given what was handed, unless its consumer was asked for the next one meanwhile."""
        it = None if self.handed is None else self.handed()
        if it is not None and it.habits.last is it:
            adopt(it)

    def begin(self, args: Any) -> Any:
        """What the call with these arguments is at."""
        it = given([*args, *self.args()], True, self.root(), is_mark=False)
        self.of = it.of if it.__class__ is Started else None
        return it

    def args(self) -> Any:
        """What it is given by ``asyncio.to_thread()``."""
        return self._function.args if self._function.__class__ is partial else ()  # type: ignore[attr-defined]

    def root(self) -> Any:
        """Where its code begins."""
        args = self.args()
        return _of_call(args[0], args[1:])[2] if args else _of_call(self._function, ())[2]

    def enter(self, it: Any) -> None:
        """Makes it current in the copy of the context in which ``asyncio.to_thread()`` calls."""
        context = getattr(getattr(self._function, "func", None), "__self__", None)
        if context.__class__ is Context and context.get(current) is not it:
            context.run(current.set, it)


def _start_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def start(self):  # type: ignore[no-untyped-def]
        tried(_begin, self)
        return original(self)

    return start


def _begin(thread: Any) -> None:
    it = None if _is_service(thread) else given(*_of_thread(thread))
    if it is not None:
        _begin_with(thread, it)


def _of_thread(thread: Any) -> "tuple[list[Any], bool, Any]":
    if isinstance(thread, threading.Timer):
        return _of_later_call(thread.function, thread.args, thread.kwargs)
    target = getattr(thread, "_target", None)
    # A class of the program's own may have its work in `run`.
    return _of_call(target or thread.run, getattr(thread, "_args", ()), getattr(thread, "_kwargs", None))


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
        tried(enter, box.pop())
        run()

    thread.run = begin  # type: ignore[method-assign]


def event_loop(kind: Any) -> None:
    """Lets a class of event loops say which tasks it starts, and give what its pools were handed to the tasks that wait for it."""
    for name, followed in (("create_task", _create_task_of(kind.create_task)), ("call_soon", _call_of(kind.call_soon, 0))):
        quicker = api.loop_method(kind, name, getattr(kind, name), followed)
        setattr(kind, name, followed if quicker is None else quicker)
    for name in ("call_later", "call_at"):
        setattr(kind, name, _call_of(getattr(kind, name), 1))
    kind.run_in_executor = _run_in_executor_of(kind.run_in_executor)


def _create_task_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def create_task(self, coro, *args, **kwargs):  # type: ignore[no-untyped-def]
        return called_at(given_as(_of_coroutine, coro), original, self, coro, *args, **kwargs)

    return create_task


def _of_coroutine(coro: Any) -> "tuple[list[Any], bool, Any]":
    """As `_of_call`, of a coroutine that has not begun, and has nothing but this."""
    frame, code = getattr(coro, "cr_frame", None), getattr(coro, "cr_code", None)
    if frame is None or code is None:
        return [], True, None
    own = names_of(frame)
    objects = [*own.values()]
    key = (id(code), *map(type, objects))
    known = coroutines.get(key)
    if known is None:
        if len(coroutines) >= MOST:
            coroutines.clear()
        args = {name: value for name, value in own.items() if name not in code.co_freevars and name != "self"}
        within = [name for name, value in args.items() if hasattr(value, "cr_frame")]
        # As long as the code is there, no other can have its place.
        known = coroutines[key] = (within[0] if within else None, is_sure(args.values()), Root.of(code, own))
    if known[0] is not None:
        # One around the program's, such as a task group's.
        return _of_coroutine(own[known[0]])
    return objects, known[1], known[2]


#: What the types of its values say of a coroutine's code: the name of another coroutine among them, whether they are sure, its root.
coroutines: "dict[Any, tuple[Any, bool, Root]]" = {}
MOST = 1_000


def _of_later_call(function: Any, args: Any, named: Any = None) -> "tuple[list[Any], bool, Any]":
    # Not sure: where it is set for the first of several, the last of them may be what it sends.
    objects, _, root = _of_call(function, args, named)
    return objects, False, root


def _call_of(original: Callable[..., Any], before: int) -> Callable[..., Any]:
    """A method that calls a function later, in a copy of the calling context, which has `before` arguments before it."""

    @wraps(original)
    def call(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        it = None if "context" in kwargs else current.get()
        if it is None or len(args) <= before or _is_of_loop(args[before]):
            return original(self, *args, **kwargs)
        other = given_as(_of_later_call, args[before], args[before + 1 :])
        return called_at(other, original, self, *args, **kwargs)

    return call


def _is_of_loop(function: Any) -> bool:
    """Whether it is asyncio's own, such as what wakes a task up."""
    return getattr(function, "__module__", None) in _LOOPS


_LOOPS = frozenset(("asyncio.futures", "asyncio.tasks", "asyncio.timeouts", "asyncio.events", "asyncio.base_events", "_asyncio", None))


def _run_in_executor_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def run_in_executor(self, executor, func, *args):  # type: ignore[no-untyped-def]
        if not callable(func):
            return original(self, executor, func, *args)
        if executor is not None and not isinstance(executor, _pools.ThreadPoolExecutor):
            return original(self, executor, func, *args)
        from ._futures import Adopting  # asyncio is there by now.

        awaited = Awaited(func)
        return Adopting.of(original(self, executor, awaited, *args), awaited)

    return run_in_executor


def gevent(module: Any) -> None:
    """Lets gevent's greenlets, and the jobs of its pools of threads, begin with what they are given."""

    def started(greenlet: Any) -> None:
        tried(_begin_in, greenlet, _of_call, getattr(greenlet, "_run", None), getattr(greenlet, "args", ()))

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
        tried(_begin_in, self, lambda: ([], False, None))

    kind.__init__ = __init__


def signals(module: Any) -> None:
    """Lets handlers of signals be at no message: they interrupt whatever runs."""
    original, asking = module.signal, module.getsignal

    @wraps(original)
    def signal(number, handler):  # type: ignore[no-untyped-def]
        return _own(original(number, _Handler(handler) if handler.__class__ in _FUNCTIONS else handler))

    @wraps(asking)
    def getsignal(number):  # type: ignore[no-untyped-def]
        return _own(asking(number))

    module.signal, module.getsignal = signal, getsignal


def _own(handler: Any) -> Any:
    return handler.function if handler.__class__ is _Handler else handler


class _Handler:
    """A handler of signals of the program's."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return called_at(None, self.function, *args)


_FUNCTIONS = (FunctionType, MethodType, partial)


def _begin_in(greenlet: Any, of: Callable[..., Any], *args: Any) -> None:
    """Lets a greenlet that has not begun be at what it is given; one that brings a context of its own keeps that."""
    it = given(*of(*args))
    if it is not None and greenlet.gr_context is None:
        context = Context()
        context.run(enter, it)
        greenlet.gr_context = context
