"""Queues of the program's: who takes a piece of work from one is at the message in whose course it was put there.

A queue of connections, or of whatever else is put back, is none of work: a queue is believed only while all that is taken from it
was put there in the course of a message, and by others than those who take it.
"""

from contextvars import Context
from functools import wraps
from typing import Any, Callable, Dict, List

from . import _started
from ._note import note_defect, tried
from ._processing import Processing, Started, Turn, at_hand, current, enter, forsake
from ._trains import train

#: More than this a queue is not watched for.
MOST = 100_000
_NAME = "_tracer_interceptors"
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


class Taken(Turn):
    """Somebody has taken a piece of work from a queue, and is at its message until the next."""

    __slots__ = ()


class _Watch:
    """What a queue has in it, and of which messages."""

    __slots__ = ("put", "putters", "is_believed")

    def __init__(self) -> None:
        #: By the identity of what was put, which is kept meanwhile, so that nothing else can have it.
        self.put: Dict[int, List[Any]] = {}
        self.putters: "set[int]" = set()
        self.is_believed = True

    def doubt(self) -> None:
        self.is_believed = False
        self.put.clear()


def threads(module: Any) -> None:
    """The queues of threads. One that gives back what was put last is mostly a pool of something."""
    kind = module.Queue
    kind.put, kind.get = _putting(kind.put, module.LifoQueue), _getting(kind.get, module.LifoQueue)


def event_loops(module: Any) -> None:
    """Those of asyncio, by what `put` and `get` do once they may."""
    kind = module.Queue
    kind.put_nowait = _putting(kind.put_nowait, module.LifoQueue)
    kind.get_nowait = _getting(kind.get_nowait, module.LifoQueue)
    original = kind.get

    @wraps(original)
    async def get(self):  # type: ignore[no-untyped-def]
        tried(_leave)
        return await original(self)

    kind.get = get


def _putting(original: Callable[..., Any], others: Any) -> Callable[..., Any]:
    @wraps(original)
    def put(self, item, *args, **kwargs):  # type: ignore[no-untyped-def]
        noted = None
        if item is not None and not issubclass(type(self), others):
            try:
                noted = _note(self, item)
            except Exception as error:
                _say(error)
        try:
            return original(self, item, *args, **kwargs)
        except BaseException:
            if noted is not None:
                # It is full.
                noted.pop()
            raise

    return put


def _getting(original: Callable[..., Any], others: Any) -> Callable[..., Any]:
    @wraps(original)
    def get(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if issubclass(type(self), others):
            return original(self, *args, **kwargs)
        tried(_leave)
        item = original(self, *args, **kwargs)
        if item is not None:
            try:
                _take(self, item)
            except Exception as error:
                _say(error)
        return item

    return get


def _leave() -> None:
    it = current.get()
    if it.__class__ is Taken:
        forsake()
    elif it.__class__ is Started:
        it.taken = None


def _note(queue: Any, item: Any) -> Any:
    watch = queue.__dict__.get(_NAME)
    it = current.get()
    if _name_of(type(item)) == "LogRecord" or type(item) is tuple and item and type(item[0]) is Context:
        # Lines of a log, and calls that another library follows itself.
        return None
    if watch is None:
        if it is None:
            return None
        watch = queue.__dict__[_NAME] = _Watch()
    if not watch.is_believed:
        return None
    it = _of_item(item, it)
    watch.putters.add(train())
    noted = watch.put.setdefault(id(item), [])
    noted.append((item, it))
    if len(watch.put) > MOST:
        watch.doubt()
    return noted


def _of_item(item: Any, it: Any) -> Any:
    """The processing in whose course this is put into a queue."""
    objects = (item, *item) if type(item) is tuple else (item,)
    if it is None or it.said or it.train != train():
        it = _started.at(objects)
        return it if isinstance(it, Processing) else None
    other = at_hand(objects)
    # What others were put there for is settled, though nothing was sent of them here.
    if other is None and not it.is_cause(it.habits.idle):
        return None
    it = other or it
    it.started = True
    # Whatever else was started in the course of one message may be what takes this.
    it.habits.ungiven += 1
    return it


def _take(queue: Any, item: Any) -> None:
    watch = queue.__dict__.get(_NAME)
    if watch is None:
        # It was put there at no message.
        watch = queue.__dict__[_NAME] = _Watch()
    if not watch.is_believed:
        return
    noted = watch.put.get(id(item))
    it = noted.pop(0)[1] if noted else None
    # Several of one object, such as a number: they are not to be told apart.
    are_same = not noted or all(other is it for _, other in noted)
    if not noted:
        watch.put.pop(id(item), None)
    if it is None or train() in watch.putters:
        watch.doubt()
        return
    before = current.get()
    if before.__class__ is Started:
        # Which of the two a send is made of, its code says.
        before.taken = Taken(it) if are_same else None
    elif before is None:
        if are_same:
            enter(Taken(it))


def _say(error: Exception) -> None:
    note_defect("a queue is not followed", error)
