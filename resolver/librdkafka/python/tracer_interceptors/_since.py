"""Whether what is made by code that was started under a message is made of what it was given at its start, or of what others put into
something: a batch, a window, a cache. The compiled code of each function says so, from where it was started up to the call.
"""

import sys
from types import CodeType, FrameType
from typing import Any, Callable, FrozenSet, List, Optional, Set

from ._loops import (
    FOLDER,
    LEVELS,
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
from ._root import IS_SHARED, Root, kind_of
from ._values import NOW, OLD

#: Frames up from what is made to where the code begins that was started.
DEPTH = 60
#: What `made_since` says of what others may have put there that it is made of.
OTHERS = "others"
#: Code that runs the program's own in its place.
_WRAPPER = "anyio."
_NO_NAMES: FrozenSet[str] = frozenset()


def made_since(root: Any) -> Any:
    """Whether what is made now by code that began at this root is made of what was given there; ``None``: of nothing that is seen, and
    once; `OTHERS`: of what others put into something. For all else, such as both, or nothing in a loop, it is ``False``."""
    frame = program()
    frames: List[FrameType] = []
    code, names = (None, _NO_NAMES) if root is None else (root.code, root.names)
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
        flow, values = flow_of(frame.f_code), read.values_of(frame)
        place = flow.instruction_at(frame.f_lasti)
        if is_own is not None:
            given = arguments_of(frame.f_code)
            names = frozenset(name for name in given if not _is_of_others(values(name), shared, is_mixed))
        made = flow.made_of_names(place, names, values, LEVELS)
        around = flow.round(place, NONE)
        if OLD in made and is_own is None and _is_outside(frame.f_code.co_filename, is_seen):
            # What it goes on with there is what it was called with.
            made, is_unseen = _NO_NAMES, True
        if OLD in made and (NOW not in made or around and flow.is_over_others(around, names, values)):
            return OTHERS
        is_mixed = is_mixed or OLD in made
        is_unseen = is_unseen or not made and bool(around)
        is_seen = is_seen or bool(made)
        is_own, names = (True, names) if made else (None, _NO_NAMES)
        shared = _shared_in(frame.f_code, flow, values)
    return False if is_mixed or is_unseen else is_own


def _shared_in(code: CodeType, flow: Flow, values: Callable[[str], Any]) -> Set[int]:
    """What this code has from around it that others may put something into: that stays theirs where it is given to a function."""
    own = {*code.co_varnames, *code.co_cellvars} - {"self"}
    shared = set()
    for chain in {*flow.chains.values()}:
        value = None if chain[0] in own else values(chain[0])
        for name in chain[1:] if value is not None else ():
            value = member(value, name)
        if type(value) is dict or kind_of(value) & IS_SHARED:
            shared.add(id(value))
    return shared


def _is_of_others(value: Any, shared: Set[int], is_mixed: bool) -> bool:
    return id(value) in shared or is_mixed and bool(kind_of(value) & IS_SHARED)


def _is_outside(file: str, is_seen: bool) -> bool:
    """Whether it is none of the program's: Python's own, or, as long as it was given nothing that is seen, installed."""
    return file.startswith(PYTHON) and "-packages/" not in file or not is_seen and is_of_a_library(file)
