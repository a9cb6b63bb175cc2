"""Whether code that sends will come to a call for messages again: then it is in the loop of the message that it was handed last.

That is read from the code, when a message has been current for so long that the order of the calls alone says too little: a program
that read one message at its start sends for ever, and comes to that call no more.
"""

import dis
import os
import sys
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional, Set, Tuple

from . import _library
from ._root import DATA, OPTIMIZED, is_hidden, members_of, names_of
from ._values import NOW, OLD, Own, made_of

#: Calls for messages, by their names.
_CALLS = frozenset(("poll", "consume"))
#: Frames of the program up from the send that are looked at.
DEPTH = 15
#: Functions that are called by functions that are called.
LEVELS = 3
#: Instructions before a loop that may be its head.
HEAD = 16
MOST = 1_000
_GENERATOR = 0x20
#: Of asyncio too.
_GENERATORS = 0x20 | 0x200

#: Names that code loads one from the other: ``self.consumer.poll``.
_Chain = Tuple[str, ...]
_known: Dict[int, "Flow"] = {}
#: What was read, as the library finds it again: see its ``recall.rs``.
_Known = Tuple[Optional[bool], Tuple[Any, ...], List[CodeType]]
#: What `_turn` has said of a place, for each of the ways that led there.
_once: Dict[Any, List[_Known]] = {}
NO_READS: List[_Known] = []
NO_NAMES: FrozenSet[str] = frozenset()
#: What `_since.py` has said of some frames, and of the names that are given.
since: Dict[Any, List[_Known]] = {}
#: Ways to one place, and meanings of its names, that are told apart.
MEANINGS = 16
#: What `is_repeated` has said of a place.
_repeated: Dict[Tuple[int, int], Tuple[bool, CodeType]] = {}
#: The functions of the library: nobody imports this who has not found it.
api: Any = _library.find()
PYTHON = os.path.dirname(os.__file__)
FOLDER = os.path.dirname(__file__)


def is_in_its_turn() -> bool:
    """Whether the send that is made now is made in a loop of which each round asks for a message."""
    return _turn(program()) is not None


def is_once_in_a_round() -> Optional[bool]:
    """Whether it is made once in a round of such a loop, for all that the code says, or in a loop within, and of the round's message;
    ``None``: no call for messages is seen there."""
    frame = program()
    if frame is None:
        return None
    place = (id(frame.f_code), frame.f_lasti)
    answer = api.recall(_once.get(place, NO_READS), frame)
    if answer is NotImplemented:
        read = Read()
        answer = _turn(frame, True, read)
        # Where it came to the last frame, what would be said of one more is not known.
        keep(_once, place, read.known(answer, answer is None and len(read) < DEPTH))
    return answer  # type: ignore[no-any-return]


def is_repeated() -> bool:
    """Whether the code that sends now, as far as it is in one file, does so in a loop, which asks for no messages."""
    frame = program()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("confluent_kafka"):
        frame = frame.f_back
    file = frame.f_code.co_filename if frame is not None else ""
    while frame is not None and frame.f_code.co_filename == file:
        place = (id(frame.f_code), frame.f_lasti)
        known = _repeated.get(place)
        if known is None:
            if len(_repeated) >= MOST:
                _repeated.clear()
            flow = flow_of(frame.f_code)
            known = _repeated[place] = (bool(flow.round(flow.instruction_at(frame.f_lasti), NONE)), frame.f_code)
        if known[0]:
            return True
        frame = frame.f_back
    return False


def program() -> Optional[FrameType]:
    """The innermost frame that is none of ours."""
    frame: Optional[FrameType] = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(FOLDER):
        frame = frame.f_back
    return frame


def arguments_of(code: CodeType) -> FrozenSet[str]:
    variable = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return frozenset(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + variable])


def _gives_of_others(call: str, values: Callable[[str], Any], levels: int) -> bool:
    """Whether what is called by this name is a function that gives what it takes from somewhere, be it given a message's or not."""
    if not levels or not call:
        return False
    chain = tuple(call.split("."))
    _note(chain, values)
    holder, function = _function_of(chain, values)
    if function is None or is_of_a_library(function.__code__.co_filename):
        return False
    flow, inside = flow_of(function.__code__), _values_in(function, holder)
    names = arguments_of(function.__code__)
    return any(OLD in flow.made_of_names(end, names, inside, levels - 1) for end in flow.gives())


def is_of_a_library(file: str) -> bool:
    """Whether it is Python's own, or installed: what is called there by a message's own is taken to be of that."""
    return file.startswith((PYTHON, FOLDER)) or "/site-packages/" in file or "/dist-packages/" in file


def _turn(frame: Optional[FrameType], once: bool = False, read: Optional["Read"] = None) -> Optional[bool]:
    read = Read() if read is None else read
    #: From the send up to the loop: the function, the place in it, and whether that is in a loop of its own there.
    way: List[Tuple["Flow", int, bool]] = []
    for _ in range(DEPTH):
        if frame is None:
            return None
        flow = flow_of(frame.f_code)
        values = read.values_of(frame)
        place = flow.instruction_at(frame.f_lasti)
        around = flow.round(place, NONE)
        asks = NONE
        rest = around
        if around:
            if is_hidden(frame.f_code):
                # Whether it asks for messages is not known: nothing is guessed.
                return False if once else None
            asks = flow.asking(around, values, LEVELS)
            rest = flow.round(place, asks) if asks else around
            if not once and not flow.ends(rest, asks):
                # It may go round, as long as it likes, and ask for nothing.
                return None
        way.append((flow, place, bool(rest)))
        if asks:
            return _is_its_own(way, asks) if once else True
        frame = frame.f_back
    return None


def _is_its_own(way: List[Tuple["Flow", int, bool]], asks: FrozenSet[int]) -> bool:
    """Whether what is sent is made of the round's message: what is sent once in a round, and of no earlier one for all that is seen;
    what is sent in a loop within the round, if it is seen to be of that one."""
    given: Optional[bool] = None
    for flow, place, is_in_a_loop in reversed(way):
        made_of = flow.made_of(place, asks, given is True)
        if made_of == {OLD}:
            return False
        if is_in_a_loop and made_of != {NOW}:
            return False
        if made_of:
            given = made_of == {NOW}
        asks = NONE
    return True


class Read:
    """What was read from the code of some frames, and what names meant there, on which it depends."""

    __slots__ = ("_frames", "_functions")

    def __init__(self) -> None:
        #: For each frame its place, and what names meant.
        self._frames: List[Tuple[CodeType, int, Dict[_Chain, Any]]] = []
        #: As long as they are there, no other code can have their places.
        self._functions: List[CodeType] = []

    def __len__(self) -> int:
        return len(self._frames)

    def values_of(self, frame: FrameType) -> "_Values":
        """What names mean in the next frame, which is noted."""
        self._frames.append((frame.f_code, frame.f_lasti, {}))
        return _Values(names_of(frame), frame.f_globals, self)

    def note(self, chain: _Chain, values: "_Values") -> None:
        function = _function_of(chain, values)[1]
        if function is not None:
            self._functions.append(function.__code__)
        self._frames[-1][2][chain] = _meaning(chain, values)

    def known(self, answer: Optional[bool], is_to_the_end: bool = False) -> _Known:
        """As the library takes it; to the end: there was no other frame."""
        frames: List[Any] = []
        for code, place, meant in self._frames:
            is_optimized = bool(code.co_flags & OPTIMIZED)
            own = {*code.co_varnames, *code.co_cellvars, *code.co_freevars}
            names = [(chain, not is_optimized or chain[0] in own, meant[chain], chain[-1] in _CALLS) for chain in meant]
            frames.append((code, place, is_optimized, tuple(names)))
        if is_to_the_end:
            frames.append(None)
        return answer, tuple(frames), self._functions


class _Values:
    """What names mean in a frame."""

    __slots__ = ("_own", "_module", "_read")

    def __init__(self, own: Any, module: Dict[str, Any], read: Optional[Read] = None) -> None:
        self._own, self._module, self._read = own, module, read

    def __call__(self, name: str) -> Any:
        own = self._own
        return own[name] if name in own else self._module.get(name)

    def note(self, chain: _Chain) -> None:
        if self._read is not None:
            self._read.note(chain, self)


def _note(chain: _Chain, values: Callable[[str], Any]) -> None:
    if values.__class__ is _Values:
        values.note(chain)  # type: ignore[attr-defined]


def keep(all_known: Dict[Any, List[_Known]], key: Any, known: _Known) -> None:
    if len(all_known) >= MOST:
        all_known.clear()
    kept = all_known.setdefault(key, [])
    kept.insert(0, known)
    del kept[MEANINGS:]


def _function_of(chain: Any, values: Callable[[str], Any]) -> "Tuple[Any, Optional[FunctionType]]":
    """The function that a name means, and what it is a method of; ``None``: it is none in Python."""
    holder, function = None, values(chain[0])
    if len(chain) == 1 and type(function) in DATA:
        return None, None
    for name in chain[1:]:
        holder, function = function, member(function, name)
    if type(function) is MethodType:
        holder, function = function.__self__, function.__func__
    return holder, function if type(function) is FunctionType else None


def _meaning(chain: _Chain, values: Callable[[str], Any]) -> Any:
    """What a name means to this module: a call for messages, some code, or nothing."""
    if _is_call_for_messages(chain, values):
        return True
    function = _function_of(chain, values)[1]
    if function is None:
        return None
    code = function.__code__
    # What it asks may be another's the next time.
    if flow_of(code).may_ask:
        return id(code), _asks(chain, values, 0, LEVELS), _asks(chain, values, _GENERATOR, LEVELS)
    return id(code)


def _meaning_in(chain: _Chain, own: Any, module: Dict[str, Any]) -> Any:
    """The same in a frame, whose own names are asked for if they may be meant."""
    return _meaning(chain, _Values({} if own is None else own, module))


def _values_in(function: FunctionType, holder: Any) -> Callable[[str], Any]:
    """What names mean in a function that is not running, as far as that is known before."""
    code = function.__code__
    own: Dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        try:
            own[name] = cell.cell_contents
        except ValueError:  # Nothing is in it yet.
            continue
    if holder is not None:
        own.update(zip(code.co_varnames[:1], (holder,)))
    hidden = set(code.co_varnames) - set(own)
    module = function.__globals__
    return lambda name: None if name in hidden else own[name] if name in own else module.get(name)


def _asks(call: _Chain, values: Callable[[str], Any], flag: int, levels: int) -> bool:
    """Whether what is called asks a consumer, or is a function of this kind that always does, so many levels deep."""
    if _is_call_for_messages(call, values):
        # In the head of a loop it is called once only.
        return flag != _GENERATOR
    if not levels:
        return False
    holder, function = _function_of(call, values)
    if function is None or function.__code__.co_flags & flag != flag:
        return False
    flow, inside = flow_of(function.__code__), _values_in(function, holder)
    return flow.always_passes(flow.asking(flow.all, inside, levels - 1), flag == _GENERATOR)


def _is_call_for_messages(call: _Chain, values: Callable[[str], Any]) -> bool:
    """Whether it is a consumer's own method."""
    *path, last = call
    if not path:
        # A name of the program's own for it.
        bound = values(last)
        function = bound.__func__ if type(bound) is MethodType else bound
        if type(function) not in (FunctionType, BuiltinFunctionType) or function.__name__ not in _CALLS:
            return False
        return type(bound) is not FunctionType and _is_consumer(bound.__self__)
    if last not in _CALLS:
        return False
    value = values(path[0])
    for name in path[1:]:
        value = member(value, name)
    return _is_consumer(value)


def _head_asks(calls: List[_Chain], values: Callable[[str], Any], levels: int) -> bool:
    """Whether each item of what a loop is over is of the last message: of a generator that asks, and of others that pass that on."""
    asking = [call for call in calls if _asks(call, values, _GENERATOR, levels)]
    return bool(asking) and all(call in asking or _passes_on(call, values) for call in calls)


def _passes_on(call: _Chain, values: Callable[[str], Any]) -> bool:
    """Whether it is no generator, or one that gives something of each item of what it is over, and of none before."""
    function = values(call[0])
    for name in call[1:]:
        function = member(function, name)
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is not FunctionType or not function.__code__.co_flags & _GENERATOR:
        return True
    flow = flow_of(function.__code__)
    return flow.always_passes(flow.over, True)


#: What something has of a name, without a call of anything of the program's.
member = api.member


def _is_consumer(value: Any) -> bool:
    kind = type(value)
    bits = _kinds.get(kind)
    return bool((_kind_of(kind) if bits is None else bits) & _CONSUMER)


def _kind_of(kind: type) -> int:
    """What the objects of a type can be, as ``recall.rs`` has it."""
    bits = _FOUND.get(kind, 0)
    if any("consume" in members_of(one) or "_tracer_interceptors" in members_of(one) for one in kind.__mro__):
        bits |= _CONSUMER
    if _offset_of(kind):
        bits |= _HAS_NAMES
    if issubclass(kind, type):
        bits |= _TYPE
    if len(_kinds) >= MOST:
        _kinds.clear()
    _kinds[kind] = bits
    return bits


_CONSUMER, _HAS_NAMES, _FUNCTION, _METHOD, _OF_C, _TYPE = (1 << bit for bit in range(6))
_FOUND: Dict[type, int] = {FunctionType: _FUNCTION, MethodType: _METHOD, BuiltinFunctionType: _OF_C}
_offset_of: Callable[[type], int] = type.__dict__["__dictoffset__"].__get__
_kinds: Dict[type, int] = {}
api.connect_loops(once=_once, since=since, kinds=_kinds, kind=_kind_of, meaning=_meaning_in)


def flow_of(code: CodeType) -> "Flow":
    # It keeps the code, so that no other can have its place.
    flow = _known.get(id(code))
    if flow is None:
        if len(_known) >= MOST:
            _known.clear()
        flow = _known[id(code)] = Flow(code)
    return flow


class Flow:
    """Which instruction of some code follows which, exceptions left aside."""

    def __init__(self, code: CodeType) -> None:
        self._code = code
        self._instructions = list(dis.get_instructions(code))
        self.all = frozenset(one.offset for one in self._instructions)
        self._next: Dict[int, List[int]] = {}
        self._before: Dict[int, List[int]] = {}
        #: Where the loops begin that are over something.
        self.over = frozenset(one.offset for one in self._instructions if one.opname == "FOR_ITER")
        #: What is loaded that may be called, by the place.
        self.chains = self._all_chains()
        #: Whether something is loaded that may be a call for messages, by its name.
        self.may_ask = any(chain[-1] in _CALLS for chain in self.chains.values())
        self._passes: Dict[Any, bool] = {}
        jumps = {*dis.hasjrel, *dis.hasjabs}
        for place, one in enumerate(self._instructions):
            follows = [] if one.opname in _ENDS or one.opname in _JUMPS else self._offset(place + 1)
            # The place that a block's exceptions go to is none that it jumps to.
            if one.opcode in jumps and not one.opname.startswith("SETUP_"):
                follows = [*follows, one.argval]
            self._next[one.offset] = follows
            for target in follows:
                self._before.setdefault(target, []).append(one.offset)

    def instruction_at(self, place: int) -> int:
        """What follows an instruction for Python's own use belongs to it."""
        return max((offset for offset in self._next if offset <= place), default=0)

    def round(self, place: int, without: FrozenSet[int]) -> FrozenSet[int]:
        """All that the code may pass from this place until it is there again."""
        return _reached(self._next, place, without) & _reached(self._before, place, without)

    def ends(self, around: FrozenSet[int], asks: FrozenSet[int]) -> bool:
        """Whether all loops in this part have an end by themselves: they are over something, and none of them passes by a call that
        it has for messages."""
        heads = {target for one in around for target in self._next[one] if target <= one and target in around}
        return heads <= self.over and all(asks.isdisjoint(self._loop_of(head)) for head in heads)

    def _loop_of(self, head: int) -> FrozenSet[int]:
        ends = [one for one in self._before.get(head, ()) if one >= head]
        return frozenset(ends).union(*(_reached(self._before, one, frozenset((head,))) for one in ends))

    def asking(self, around: FrozenSet[int], values: Callable[[str], Any], levels: int) -> FrozenSet[int]:
        """The places in this part that ask for messages."""
        for chain in {self.chains[one] for one in around if one in self.chains}:
            _note(chain, values)
        asking = {one for one in around if one in self.chains and _asks(self.chains[one], values, 0, levels)}
        for place, one in enumerate(self._instructions):
            if one.offset in self.over & around:
                head = [*self._head(place)]
                for chain in head:
                    _note(chain, values)
                if _head_asks(head, values, levels):
                    asking.add(one.offset)
        return frozenset(asking)

    def made_of(self, place: int, asks: FrozenSet[int], is_given: bool) -> FrozenSet[str]:
        """What the call at this place is given, `OLD` and `NOW`; if `is_given`, the function itself is given the last message."""
        code = self._code
        given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if is_given else ()
        return made_of(self._instructions, self._next, place, asks, (name for name in given if name != "self"))

    def made_of_names(
        self, place: int, names: FrozenSet[str], values: Callable[[str], Any], levels: int, others: FrozenSet[str] = NO_NAMES
    ) -> FrozenSet[str]:
        """The same of a function that is given what these names say, and asks for nothing; it has what `others` name from around it."""
        variables = (*self._code.co_varnames, *self._code.co_cellvars)
        own = Own(variables, lambda call: _gives_of_others(call, values, levels))
        return made_of(self._instructions, self._next, place, NONE, (name for name in names if name != "self"), own, others)

    def is_over_others(
        self, around: FrozenSet[int], names: FrozenSet[str], values: Callable[[str], Any], others: FrozenSet[str]
    ) -> bool:
        """Whether a loop in this part goes as long as it likes, or over what is not of these names."""
        heads = self.over & around
        return not self.ends(around, NONE) or any(
            OLD in self.made_of_names(one, names, values, LEVELS, others) for one in heads
        )

    def gives(self) -> List[int]:
        """The places at which it yields, or gives what it returns."""
        gives = ("YIELD_VALUE",) if self._code.co_flags & _GENERATORS else ("RETURN_VALUE",)
        return [one.offset for one in self._instructions if one.opname in gives]

    def always_passes(self, asks: FrozenSet[int], is_generator: bool) -> bool:
        """Whether it comes to its end, or gives a value, only by one of these."""
        key = (asks, is_generator)
        if key not in self._passes:
            if len(self._passes) >= MOST:
                self._passes.clear()
            self._passes[key] = bool(asks) and self._always_passes(asks, is_generator)
        return self._passes[key]

    def _always_passes(self, asks: FrozenSet[int], is_generator: bool) -> bool:
        gives = {one.offset for one in self._instructions if is_generator and one.opname == "YIELD_VALUE"}
        ends = gives or {one.offset for one in self._instructions if one.opname in ("RETURN_VALUE", "RETURN_CONST")}
        begins = [*gives] if min(self.all) in asks else [min(self.all), *gives]
        if not all(ends.isdisjoint(_reached(self._next, begin, asks)) for begin in begins):
            return False
        # What was collected from several calls is of more than the last.
        return not any(OLD in self.made_of(end, asks, False) for end in ends)

    def _head(self, place: int) -> Iterator[_Chain]:
        """What the loop is over that begins here."""
        for before in reversed(self._instructions[max(0, place - HEAD) : place]):
            if before.opname.startswith(("STORE_", "POP_")):
                return
            if before.offset in self.chains:
                yield self.chains[before.offset]

    def _offset(self, place: int) -> List[int]:
        return [self._instructions[place].offset] if place < len(self._instructions) else []

    def _all_chains(self) -> Dict[int, _Chain]:
        chains: Dict[int, _Chain] = {}
        chain: _Chain = ()
        before = 0
        for one in self._instructions:
            name = one.argval[-1] if isinstance(one.argval, tuple) and one.argval else one.argval
            is_of = one.opname in ("LOAD_ATTR", "LOAD_METHOD")
            if not isinstance(name, str) or not one.opname.startswith("LOAD_") or one.opname == "LOAD_CONST" or is_of and not chain:
                chain = ()
                continue
            if is_of:
                # What something is taken from is not called itself.
                chains.pop(before, None)
            chain = (*chain, name) if is_of else (name,)
            chains[one.offset] = chain
            before = one.offset
        return chains


def _reached(graph: Dict[int, List[int]], start: int, without: FrozenSet[int]) -> FrozenSet[int]:
    """What can be reached from there, itself only by a way round."""
    reached: Set[int] = set()
    waiting = [*graph.get(start, ())]
    while waiting:
        place = waiting.pop()
        if place not in reached and place not in without:
            reached.add(place)
            waiting.extend(graph.get(place, ()))
    return frozenset(reached)


NONE: FrozenSet[int] = frozenset()
#: What is followed by nothing, and what by its target only.
_ENDS = frozenset(("RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "INTERPRETER_EXIT"))
_JUMPS = frozenset(
    ("JUMP_FORWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_NO_INTERRUPT", "JUMP")
)
