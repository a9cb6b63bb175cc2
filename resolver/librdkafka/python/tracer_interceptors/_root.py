"""Where the code begins of what was started under a message, and what it was given there."""

import sys
from collections import deque
from sys import getrefcount
from types import CodeType
from typing import Any, Dict, FrozenSet, Optional

_LOADED = sys.modules
#: What others put into later, or take from.
_SHARED = (list, set, deque)
SOURCE = ("task_done", "get_nowait", "receive", "consume", "__next__", "__anext__")
TOOL = ("produce", "put", "submit", "acquire", "set", "send", "execute", "request", "info", "call_soon")
#: The types of most data.
DATA = frozenset((str, bytes, int, dict, tuple))


class Root:
    """A function that something begins with: its code, ``None`` where that is not known, and the names in it of what is given."""

    __slots__ = ("code", "names")

    def __init__(self, code: Optional[CodeType], names: FrozenSet[str]) -> None:
        self.code, self.names = code, names

    @classmethod
    def of(cls, code: Optional[CodeType], given: Dict[str, Any]) -> "Root":
        return cls(code, frozenset(name for name, value in given.items() if name != "self" and is_data(value)))

    @classmethod
    def of_task(cls) -> "Root":
        """That of the task that calls, as trio knows it: it was started by no function that is ours."""
        trio = _LOADED.get("trio.lowlevel")
        try:
            return cls.of_frame(trio.current_task().coro.cr_frame)  # type: ignore[union-attr]
        except (AttributeError, RuntimeError):
            return cls(None, frozenset())

    @classmethod
    def of_frame(cls, frame: Any) -> "Root":
        """That of a function that has begun: what is given now in the place of what was given is none of it."""
        code, values = frame.f_code, names_of(frame)
        return cls.of(code, {name: values[name] for name in code.co_varnames[: code.co_argcount] if name in values})


def names_of(frame: Any) -> Any:
    """What a frame's own names mean. Before Python 3.13 it holds on to what it has put together for that, which is emptied: the
    program's objects live no longer than without us."""
    own = frame.f_locals
    if own.__class__ is not dict or not frame.f_code.co_flags & OPTIMIZED:
        return own
    names = dict(own)
    if getrefcount(own) <= _NOBODY_ELSE:
        own.clear()
    return names


def _references() -> int:
    own = sys._getframe().f_locals
    return getrefcount(own)


#: `CO_OPTIMIZED`: a function's code, whose names have places of their own.
OPTIMIZED = 0x1
_NOBODY_ELSE = _references()


def is_data(value: Any) -> bool:
    """Whether it may be a message's: none that more comes from, or that others put something into."""
    kind = type(value)
    if kind in DATA:
        return True
    return not (isinstance(value, _SHARED) or callable(value) or any(hasattr(kind, name) for name in (*SOURCE, *TOOL)))
