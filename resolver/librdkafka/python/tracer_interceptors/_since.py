"""Whether what is made by code that was started under a message is made of what it was given at its start, or of what others put into
something: a batch, a window, a cache. The compiled code of each function says so, from where it was started up to the call.
"""

import sys
from types import CodeType, FrameType
from typing import Any, Callable, FrozenSet, List, Optional, Set, Tuple

from ._loops import (
    FOLDER,
    LEVELS,
    NO_NAMES,
    NO_READS,
    NONE,
    PYTHON,
    Flow,
    Read,
    api,
    arguments_of,
    flow_of,
    is_of_a_library,
    keep,
    member,
    program,
    since,
)
from ._root import IS_SHARED, Root, is_hidden, kind_of
from ._values import NOW, OLD

#: Frames up from what is made to where the code begins that was started.
DEPTH = 60
#: What `made_since` says of what others may have put there that it is made of.
OTHERS = "others"
#: Code that runs the program's own in its place.
_WRAPPER = "anyio."


def made_since(root: Any) -> Any:
    """Whether what is made now by code that began at this root is made of what was given there; ``None``: of nothing that is seen, and
    once; `OTHERS`: of what others put into something. For all else, such as both, or nothing in a loop, it is ``False``."""
    frame = program()
    frames: List[FrameType] = []
    code, names = (None, NO_NAMES) if root is None else (root.code, root.names)
    own = frame
    # A code's own hash is that of all that is in it.
    places: List[Any] = [names]
    while frame is not None and len(frames) < DEPTH:
        at = frame.f_code
        if not at.co_filename.startswith(FOLDER):
            if at is code and frame.f_globals.get("__name__", "").startswith(_WRAPPER):
                # It began with what runs the program's own.
                names = places[0] = Root.of_frame(own).names
                break
            frames.append(frame)
            places.append(id(at))
            places.append(frame.f_lasti)
            own = frame
            if at is code:
                break
        frame = frame.f_back
    if frame is None and code is not None or len(frames) == DEPTH:
        return False
    key = tuple(places)
    # From the root on.
    frames.reverse()
    answer = api.recall(since.get(key, NO_READS), frames)
    if answer is NotImplemented:
        read = Read()
        answer = _made_since(frames, names, read)
        for frame in frames[len(read) :]:
            read.values_of(frame)
        keep(since, key, read.known(answer))
    return answer  # type: ignore[no-any-return]


def _made_since(frames: List[FrameType], names: FrozenSet[str], read: Read) -> Any:
    is_own: Optional[bool] = None
    #: Whether some of it was made of both, or of nothing that is seen, in a loop; and of something that was given.
    is_mixed = is_unseen = is_seen = False
    shared: Set[int] = set()
    for frame in frames:
        values = read.values_of(frame)
        if _is_python_s_own(frame.f_code.co_filename):
            # It passes on what it is called with, such as to a handler of log records.
            is_own, shared = True if names else None, set()
            continue
        if is_hidden(frame.f_code):
            # Of what it is made is not known: nothing is guessed.
            return OTHERS
        flow = flow_of(frame.f_code)
        place = flow.instruction_at(frame.f_lasti)
        if is_own is not None:
            given = arguments_of(frame.f_code)
            names = frozenset(name for name in given if not _is_of_others(values(name), shared, is_mixed))
        others, has = _others_in(frame.f_code, flow, values)
        made = flow.made_of_names(place, names, values, LEVELS, others)
        around = flow.round(place, NONE)
        if OLD in made and is_own is None and not is_seen and is_of_a_library(frame.f_code.co_filename):
            # So does that, where it was called with nothing that is seen.
            made, is_unseen = NO_NAMES, True
        if OLD in made and (NOW not in made or around and flow.is_over_others(around, names, values, others)):
            return OTHERS
        is_mixed = is_mixed or OLD in made
        is_unseen = is_unseen or not made and bool(around)
        is_seen = is_seen or bool(made)
        is_own, names = (True, names) if made else (None, NO_NAMES)
        shared = has
    return False if is_mixed or is_unseen else is_own


def _others_in(code: CodeType, flow: Flow, values: Callable[[str], Any]) -> "Tuple[FrozenSet[str], Set[int]]":
    """What this code has from around it that others may put something into, by its names; and by its identity, with what is more often
    looked up in than gone through: that stays theirs where it is given to a function."""
    own = {*code.co_varnames, *code.co_cellvars} - {"self"}
    others, shared = set(), set()
    for chain in {*flow.chains.values()}:
        value = None if chain[0] in own else values(chain[0])
        for name in chain[1:] if value is not None else ():
            value = member(value, name)
        is_shared = bool(kind_of(value) & IS_SHARED)
        if is_shared:
            others.add(".".join(chain))
        if is_shared or type(value) is dict:
            shared.add(id(value))
    return frozenset(others), shared


def _is_of_others(value: Any, shared: Set[int], is_mixed: bool) -> bool:
    return id(value) in shared or is_mixed and bool(kind_of(value) & IS_SHARED)


def _is_python_s_own(file: str) -> bool:
    return file.startswith(PYTHON) and "-packages/" not in file
