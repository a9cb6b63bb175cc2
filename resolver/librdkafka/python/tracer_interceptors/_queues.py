"""Queues of the program's: who takes a piece of work from one is at the message in whose course it was put there.

A queue of connections, or of whatever else is put back, is none of work: a queue is believed only while all that is taken from it
was put there in the course of a message, and by others than those who take it.
"""

from collections import Counter, deque
from contextvars import Context
from functools import wraps
from typing import Any, Callable, Dict, List

from . import _started
from ._note import note_defect, tried
from ._processing import Processing, Started, Turn, at_hand, current, enter, forsake
from ._trains import train

#: More than this a queue is not watched for.
MOST = 100_000
#: Nor for more who put something there, such as a task for each request.
MOST_PUTTERS = 4_000
#: So many more may be noted than are there, before that is looked at.
SLACK = 4
_NAME = "_tracer_interceptors"
_name_of: Callable[[type], str] = type.__dict__["__name__"].__get__


class Taken(Turn):
    """Somebody has taken a piece of work from a queue, and is at its message until the next."""

    __slots__ = ()


class _Watch:
    """Of which messages what a queue has in it is. It keeps none of the pieces: the program may throw them away as it likes."""

    __slots__ = ("put", "putters", "is_believed", "putting", "getting", "is_trimmed")

    def __init__(self) -> None:
        #: By the identity of what was put: for each time, a list of the one processing, or of ``None``.
        self.put: Dict[int, List[List[Any]]] = {}
        self.putters: "set[int]" = set()
        self.is_believed = True
        #: The identities of those that are not in the queue yet, and the calls that take one out of it.
        self.putting: "set[int]" = set()
        self.getting: "set[Any]" = set()
        #: Whether something that was put there went another way than by `get`.
        self.is_trimmed = False

    def doubt(self) -> None:
        self.is_believed = False
        self.put.clear()

    def trim(self, queue: Any) -> None:
        """Forgets what is not in the queue any more."""
        noted = [(key, each) for key, several in [*self.put.items()] for each in [*several] if id(each) not in self.putting]
        inside = _inside(queue)
        if inside is None:
            self.doubt()
            return
        # Copied at once, whoever puts something there meanwhile.
        counts = Counter(map(id, [*inside]))
        gone = []
        # Of one object that was put there several times, the last ones are those that are in it.
        for key, each in reversed(noted):
            if counts[key]:
                counts[key] -= 1
            else:
                gone.append((key, each))
        # Somebody may be about to say what came of some of them.
        gone = gone[len(self.getting) :]
        self.is_trimmed = True
        for key, each in gone:
            several = self.put.get(key, [])
            several[:] = [one for one in several if one is not each]
        for key, several in [*self.put.items()]:
            if not several:
                self.put.pop(key, None)


def _inside(queue: Any) -> Any:
    """What a queue keeps its pieces in; ``None``: that is of the program's own kind."""
    own = queue.__dict__
    inside = own.get("queue" if "mutex" in own else "_queue")
    return inside if type(inside) in (deque, list) else None


def threads(module: Any) -> None:
    """The queues of threads. One that gives back what was put last is mostly a pool of something."""
    kind = module.Queue
    kind.put, kind.get = _putting(kind.put, module.LifoQueue), _getting(kind.get, module.LifoQueue)
    _end(kind)


def event_loops(module: Any) -> None:
    """Those of asyncio, by what `put` and `get` do once they may."""
    kind = module.Queue
    kind.put_nowait = _putting(kind.put_nowait, module.LifoQueue)
    kind.get_nowait = _getting(kind.get_nowait, module.LifoQueue)
    _end(kind)
    original = kind.get

    @wraps(original)
    async def get(self):  # type: ignore[no-untyped-def]
        tried(_leave)
        return await original(self)

    kind.get = get


def _end(kind: Any) -> None:
    # Since Python 3.13.
    if hasattr(kind, "shutdown"):
        kind.shutdown = _ending(kind.shutdown)


def _putting(original: Callable[..., Any], others: Any) -> Callable[..., Any]:
    @wraps(original)
    def put(self, item, *args, **kwargs):  # type: ignore[no-untyped-def]
        noted = None
        if item is not None and not issubclass(type(self), others):
            try:
                noted = _note(self, item)
            except Exception as error:
                _say(error)
        if noted is None:
            return original(self, item, *args, **kwargs)
        watch, several, each = noted
        try:
            result = original(self, item, *args, **kwargs)
        except BaseException:
            # It is full.
            several[:] = [one for one in several if one is not each]
            raise
        finally:
            watch.putting.discard(id(each))
        if len(several) > 1 or len(watch.put) > 1:
            tried(_sweep, self, watch, several)
        return result

    return put


def _sweep(queue: Any, watch: _Watch, several: Any) -> None:
    """Now and then, when there is more noted than is there."""
    inside = _inside(queue)
    most = 0 if inside is None else len(inside) + len(watch.putting) + len(watch.getting)
    if max(len(watch.put), len(several)) > most + most // 2 + SLACK:
        watch.trim(queue)


def _getting(original: Callable[..., Any], others: Any) -> Callable[..., Any]:
    @wraps(original)
    def get(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if issubclass(type(self), others):
            return original(self, *args, **kwargs)
        tried(_leave)
        watch, call = tried(_watch_of, self), object()
        if watch is None:
            return original(self, *args, **kwargs)
        watch.getting.add(call)
        try:
            item = original(self, *args, **kwargs)
            if item is not None:
                try:
                    _take(watch, item)
                except Exception as error:
                    _say(error)
            return item
        finally:
            watch.getting.discard(call)

    return get


def _ending(original: Callable[..., Any]) -> Callable[..., Any]:
    """``shutdown()``, which may empty the queue."""

    @wraps(original)
    def shutdown(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        result = original(self, *args, **kwargs)
        watch = self.__dict__.get(_NAME)
        if watch is not None:
            tried(watch.trim, self)
        return result

    return shutdown


def _watch_of(queue: Any) -> _Watch:
    watch = queue.__dict__.get(_NAME)
    if watch is None:
        watch = queue.__dict__[_NAME] = _Watch()
    return watch  # type: ignore[no-any-return]


def _leave() -> None:
    it = current.get()
    if it.__class__ is Taken:
        forsake()
    elif it.__class__ is Started:
        it.taken = None


def _is_followed(item: Any) -> bool:
    """Not lines of a log, and calls that another library follows itself."""
    return _name_of(type(item)) != "LogRecord" and not (type(item) is tuple and item and type(item[0]) is Context)


def _note(queue: Any, item: Any) -> Any:
    watch = queue.__dict__.get(_NAME)
    it = current.get()
    if not _is_followed(item) or watch is None and it is None:
        return None
    watch = _watch_of(queue)
    if not watch.is_believed:
        return None
    it = _of_item(item, it)
    watch.putters.add(train())
    each = [it]
    watch.putting.add(id(each))
    several = watch.put.setdefault(id(item), [])
    several.append(each)
    if len(watch.put) > MOST or len(watch.putters) > MOST_PUTTERS:
        watch.doubt()
    return watch, several, each


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


def _take(watch: _Watch, item: Any) -> None:
    if not watch.is_believed or not _is_followed(item):
        return
    several = watch.put.get(id(item))
    if not several and watch.is_trimmed:
        return
    it = several.pop(0)[0] if several else None
    # Several of one object, such as a number, or one in the place of another that is gone: they are not to be told apart.
    are_same = not several or all(other[0] is it for other in several)
    if not several:
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
