"""What is started while a message is current, or is given one, is at work on that message: tasks, threads, jobs of a pool, greenlets.

asyncio's tasks inherit the context by themselves. Threads, jobs of a pool and greenlets are given nothing but the one variable.
"""

import threading
from concurrent.futures import thread as _pools
from contextvars import Context
from functools import partial, wraps
from types import BuiltinFunctionType, CoroutineType, FunctionType, MethodType
from typing import Any, Callable, Iterable, List
from weakref import ref

from . import _kept
from ._note import tried
from ._processing import Note, Started, Turn, adopt, api, at_hand, called_at, current, enter, forsake
from ._root import IS_CALLED, IS_SOURCE, IS_TOOL, SAYS_NOTHING, Root, kind_of, names_of
from ._trains import marker, train


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
        kind = kind_of(one)
        if kind & IS_SOURCE:
            return False
        found = found or not kind & (IS_CALLED | IS_TOOL | SAYS_NOTHING)
    return found



def _of_call(function: Any, args: Iterable[Any], named: Any = None) -> "tuple[list[Any], bool, Any]":
    """The objects that a call is given, whether they are sure, and where its code begins: what a function has from around it is not."""
    # Whatever else they are given in would have to be asked for them.
    objects = [*args] if type(args) in _SEVERAL else []
    named = {**named} if type(named) is dict else {}
    while type(function) is partial:
        objects[:0] = function.args
        named = {**function.keywords, **named}
        function = function.func
    sure = is_sure((*objects, *named.values()))
    own = []
    if type(function) is MethodType:
        own, function = [function.__self__], function.__func__
    is_known = type(function) is FunctionType
    root = _root(function.__code__ if is_known else None, [*own, *objects], named)
    objects.extend(named.values())
    if not is_known:
        return objects, sure, root
    for cell in function.__closure__ or ():
        try:
            objects.append(cell.cell_contents)
        except ValueError:  # Nothing is in it yet.
            continue
    objects += function.__defaults__ or ()
    return objects, sure, root


_SEVERAL = (list, tuple)


def _root(code: Any, args: Iterable[Any], named: Any) -> Root:
    """Where the code of a function begins that is called with these."""
    names = () if code is None else code.co_varnames[: code.co_argcount]
    return Root.of(code, {**dict(zip(names, args)), **named})


def replace() -> None:
    """Lets threads and jobs begin with what they are given."""
    pool = _pools.ThreadPoolExecutor
    pool.submit = _submit_of(pool.submit, "fn")  # type: ignore[method-assign]
    threading.Thread.start = _start_of(threading.Thread.start)  # type: ignore[method-assign]


def _submit_of(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method that has a function called later, which it is given first, or by this name."""

    @wraps(original)
    def submit(self, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        # Each job leaves its thread at no message, for the next one.
        if args:
            return original(self, _Job(args[0], args[1:], kwargs, _awaited_of(args[0])), *args[1:], **kwargs)
        if name in kwargs:
            function = kwargs.pop(name)
            kwargs[name] = _Job(function, (), {**kwargs})
        return original(self, **kwargs)

    return submit


class _Job:
    """A job of a pool: begins at the message that it is given, or that was current where it was submitted."""

    __slots__ = ("_function", "_processing", "_awaited")

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, awaited: Any = None) -> None:
        self._function = function
        self._awaited = awaited
        if awaited is None:
            self._processing = given_as(_of_call, function, args, kwargs)
        else:
            self._processing = tried(awaited.begin, args)

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
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

    __slots__ = ("function", "train", "handed", "of")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.train = tried(train) or 0
        #: The processing of the message that the pool's thread was handed meanwhile; weakly, for this is no work on it.
        self.handed: Any = None
        #: The processing in whose course it is called.
        self.of: Any = None

    def run(self, /, *args: Any, **kwargs: Any) -> Any:
        """The call, by the pool's thread."""
        here = marker()
        here.lend(self.train)
        try:
            return self.function(*args, **kwargs)
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
        function = self.function
        return function.args if type(function) is partial else ()

    def root(self) -> Any:
        """Where its code begins."""
        args = self.args()
        return _of_call(args[0], args[1:])[2] if args else _of_call(self.function, ())[2]

    def enter(self, it: Any) -> None:
        """Makes it current in the copy of the context in which ``asyncio.to_thread()`` calls."""
        function = self.function.func if type(self.function) is partial else None
        context = function.__self__ if type(function) is BuiltinFunctionType else None
        if type(context) is Context and context.get(current) is not it:
            context.run(current.set, it)


def _start_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def start(self):  # type: ignore[no-untyped-def]
        begun = tried(_begin, self)
        try:
            return original(self)
        except BaseException:
            if begun is not None:
                # The system had no thread: the program may try it again.
                tried(begun.forget)
            raise

    return start


def _begin(thread: Any) -> Any:
    """Lets a thread that has not begun begin at what it is given."""
    own = thread.__dict__
    if own.get("_ident") is not None or not own.get("_initialized") or _is_service(thread):
        return None
    it = given(*_of_thread(thread))
    return None if it is None else _Begun(thread, it)


def _of_thread(thread: Any) -> "tuple[list[Any], bool, Any]":
    own = thread.__dict__
    if issubclass(type(thread), threading.Timer):
        return _of_later_call(own.get("function"), own.get("args"), own.get("kwargs"))
    target = own.get("_target")
    # A class of the program's own may have its work in `run`.
    return _of_call(thread.run if target is None else target, own.get("_args"), own.get("_kwargs"))


def _is_service(thread: Any) -> bool:
    """Whether it is none of the message's work, though it begins in its course: a pool's, or a daemon that is given nothing."""
    own = thread.__dict__
    target = own.get("_target")
    module = _module_of(type(thread)) if target is None else _module_of_function(target)
    if type(module) is str and module.startswith(_WITH_POOLS):
        return True
    is_given_nothing = all(type(given) in _MANY and not given for given in (own.get("_args"), own.get("_kwargs")))
    return own.get("_daemonic") is True and is_given_nothing


_MANY = (*_SEVERAL, dict, type(None))
#: Whose own threads work for all who come.
_WITH_POOLS = ("anyio.", "concurrent.futures.", "multiprocessing.")


class _Begun:
    """The `run` of a thread that begins at a message, in the place of its own until it runs."""

    __slots__ = ("_thread", "_it", "_own")

    def __init__(self, thread: Any, it: Any) -> None:
        own = thread.__dict__
        # Whoever wraps this keeps it, and the thread has that.
        self._thread, self._it = ref(thread), it
        #: What the thread itself, not its class, had of this name.
        self._own = own.get("run", self)
        own["run"] = self

    def __call__(self, *_: Any, **__: Any) -> None:
        # Another library's `start`, such as Sentry's, may have taken it for the function of a class, and have put its own around it.
        thread, it = self._thread(), self._it
        self.forget()
        if it is not None:
            tried(enter, it)
            del it
        if self._own is self:
            type(thread).run(thread)
        else:
            self._own()

    def forget(self) -> None:
        """The thread is as it was."""
        own, before = self._thread().__dict__, self._own
        self._it = None
        if own.get("run") is not self:
            return
        if before is self:
            del own["run"]
        else:
            own["run"] = before


def event_loop(kind: Any) -> None:
    """Lets a class of event loops say which tasks it starts, and give what its pools were handed to the tasks that wait for it."""
    for name, followed in (("create_task", _create_task_of(kind.create_task)), ("call_soon", _call_of(kind.call_soon, 0))):
        quicker = api.loop_method(kind, name, getattr(kind, name), followed)
        setattr(kind, name, followed if quicker is None else quicker)
    for name, before in (("call_soon_threadsafe", 0), ("call_later", 1), ("call_at", 1)):
        setattr(kind, name, _call_of(getattr(kind, name), before))
    kind.run_in_executor = _run_in_executor_of(kind.run_in_executor)


def _create_task_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def create_task(self, coro, *args, **kwargs):  # type: ignore[no-untyped-def]
        return called_at(given_as(_of_coroutine, coro), original, self, coro, *args, **kwargs)

    return create_task


def _of_coroutine(coro: Any) -> "tuple[list[Any], bool, Any]":
    """As `_of_call`, of a coroutine that has not begun, and has nothing but this."""
    frame = coro.cr_frame if type(coro) is CoroutineType else None
    if frame is None:
        return [], True, None
    code = coro.cr_code
    own = names_of(frame, has_begun=False)
    objects = [*own.values()]
    key = (id(code), *map(type, objects))
    known = coroutines.get(key)
    if known is None:
        if len(coroutines) >= MOST:
            coroutines.clear()
        args = {name: value for name, value in own.items() if name not in code.co_freevars and name != "self"}
        within = [name for name, value in args.items() if type(value) is CoroutineType]
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
        function = args[before] if len(args) > before else kwargs.get("callback")
        if it is None or function is None or _is_of_loop(function):
            return original(self, *args, **kwargs)
        other = given_as(_of_later_call, function, args[before + 1 :])
        return called_at(other, original, self, *args, **kwargs)

    return call


def _is_of_loop(function: Any) -> bool:
    """Whether it is asyncio's own, such as what wakes a task up."""
    module = _module_of_function(function)
    return type(module) in _NAMES and module in _LOOPS


def _module_of_function(function: Any) -> Any:
    if type(function) is MethodType:
        function = function.__func__
    kind = type(function)
    return function.__module__ if kind in _NAMED else _module_of(kind)


_NAMED = (FunctionType, BuiltinFunctionType)
_NAMES = (str, type(None))
_module_of: Callable[[type], Any] = type.__dict__["__module__"].__get__
_LOOPS = frozenset(("asyncio.futures", "asyncio.tasks", "asyncio.timeouts", "asyncio.events", "asyncio.base_events", "_asyncio", None))


def _run_in_executor_of(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def run_in_executor(self, executor, func, *args):  # type: ignore[no-untyped-def]
        if not callable(func):
            return original(self, executor, func, *args)
        if executor is not None and not issubclass(type(executor), _pools.ThreadPoolExecutor):
            return original(self, executor, func, *args)
        from ._futures import Adopting  # asyncio is there by now.

        awaited = Awaited(func)
        before, _handing.awaited = getattr(_handing, "awaited", None), awaited
        try:
            # The program's own pool is given the function itself, and `submit` knows it.
            future = original(self, executor, func, *args)
        finally:
            _handing.awaited = before
        return Adopting.of(future, awaited)

    return run_in_executor


#: The `Awaited` whose function an event loop is about to give to a pool, in the thread that it runs in.
_handing = threading.local()


def _awaited_of(function: Any) -> Any:
    """What an event loop gives to a pool now, if this is it."""
    awaited = getattr(_handing, "awaited", None)
    if awaited is None or awaited.function is not function:
        return None
    _handing.awaited = None
    return awaited


def gevent(module: Any) -> None:
    """Lets gevent's greenlets, and the jobs of its pools of threads, begin with what they are given."""

    def started(greenlet: Any) -> None:
        tried(_begin_in, greenlet, _of_call, getattr(greenlet, "_run", None), getattr(greenlet, "args", ()))

    module.Greenlet.add_spawn_callback(started)


def gevent_pool(module: Any) -> None:
    """The same for the jobs of its pools of threads."""
    module.ThreadPool.spawn = _submit_of(module.ThreadPool.spawn, "func")


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
    def signal(*args, **kwargs):  # type: ignore[no-untyped-def]
        if len(args) > 1:
            args = (args[0], _handler(args[1]), *args[2:])
        elif "handler" in kwargs:
            kwargs["handler"] = _handler(kwargs["handler"])
        return _own(original(*args, **kwargs))

    @wraps(asking)
    def getsignal(*args, **kwargs):  # type: ignore[no-untyped-def]
        return _own(asking(*args, **kwargs))

    module.signal, module.getsignal = signal, getsignal


def _handler(handler: Any) -> Any:
    return _Handler(handler) if type(handler) in _FUNCTIONS else handler


def _own(handler: Any) -> Any:
    return handler.function if type(handler) is _Handler else handler


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
