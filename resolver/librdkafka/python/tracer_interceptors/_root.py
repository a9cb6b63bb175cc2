"""Where the code begins of what was started under a message, and what it was given there."""

import sys
from collections import deque
from sys import getrefcount
from types import CodeType, ModuleType
from typing import Any, Callable, Dict, FrozenSet, Optional, Tuple
from weakref import ref

_LOADED = sys.modules
#: What others put into later, or take from.
_SHARED = (list, set, deque)
_SAYS_NOTHING = (float, bool, type(None), list, set, deque, ModuleType)
_SOURCE = ("task_done", "get_nowait", "receive", "consume", "__next__", "__anext__")
_TOOL = ("produce", "put", "submit", "acquire", "set", "send", "execute", "request", "info", "call_soon")
#: The types of most data.
DATA = frozenset((str, bytes, int, dict, tuple))
#: What is known of an object by its type alone: more of something comes from it; it does something; others put into it what they
#: like; it is called; it says nothing of its own, or is changed by whoever likes.
IS_SOURCE, IS_TOOL, IS_SHARED, IS_CALLED, SAYS_NOTHING = (1 << bit for bit in range(5))
#: `kind_of` of each type, by its identity, which is another's once the type is gone.
_kinds: "Dict[int, Tuple[Any, int]]" = {}
MOST_KINDS = 1_000
_parents_of: Callable[[type], Any] = type.__dict__["__mro__"].__get__
members_of: Callable[[type], Any] = type.__dict__["__dict__"].__get__


def kind_of(value: Any) -> int:
    """What an object of the program's is, without a call of anything of the program's: a proxy stays asleep."""
    kind = type(value)
    known = _kinds.get(id(kind))
    if known is not None and known[0]() is kind:
        return known[1]
    members: "set[str]" = set().union(*map(members_of, _parents_of(kind)))
    bits = IS_SOURCE * (not members.isdisjoint(_SOURCE)) | IS_TOOL * (not members.isdisjoint(_TOOL))
    bits |= IS_SHARED * issubclass(kind, _SHARED) | IS_CALLED * callable(value)
    bits |= SAYS_NOTHING * any(kind is one for one in _SAYS_NOTHING)
    if len(_kinds) >= MOST_KINDS:
        _kinds.clear()
    _kinds[id(kind)] = ref(kind), bits
    return bits


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


def is_hidden(code: CodeType) -> bool:
    """Whether what the names of a function mean that runs is not to be asked for: before Python 3.13 that changes what the program has
    from `locals()`, or runs code in."""
    return _IS_ONE and bool(code.co_flags & OPTIMIZED) and not _ASKS.isdisjoint(code.co_names)


#: Whether all who ask for a frame's names are given one and the same `dict`.
_IS_ONE = sys.version_info < (3, 13)
_ASKS = frozenset(("locals", "vars", "exec", "eval", "dir"))


def names_of(frame: Any, has_begun: bool = True) -> Any:
    """What a frame's own names mean. Before Python 3.13 it holds on to what it has put together for that, which is emptied: the
    program's objects live no longer than without us."""
    if has_begun and is_hidden(frame.f_code):
        return {}
    own = frame.f_locals
    if type(own) is not dict or not frame.f_code.co_flags & OPTIMIZED:
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
    return not kind_of(value) & (IS_SOURCE | IS_TOOL | IS_SHARED | IS_CALLED)
