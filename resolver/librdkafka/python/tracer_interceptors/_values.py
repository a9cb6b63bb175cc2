"""What the values of a piece of code are made of: of the message that it asked for last, or of an earlier one.

It is read from the compiled code, by following its stack and its names along all ways that it may go, exceptions left aside. What is put
into something, such as a list, may be anything that was put there before.
"""

import dis
from typing import Any, Callable, Dict, FrozenSet, Iterable, List, Optional, Tuple

NOW, OLD = "now", "old"
#: A value on the stack: what it is made of, and the name that it was loaded by.
_Value = Tuple[FrozenSet[str], str]
_Names = Dict[str, FrozenSet[str]]
_State = Tuple[List[_Value], _Names]
_NOTHING: FrozenSet[str] = frozenset()
_EARLIER = frozenset((OLD,))
_PUT: _Value = (_NOTHING, "")
#: Steps that are followed; of longer code nothing is taken for the last message's.
MOST = 5_000
#: Methods of what holds several that give some of them.
_TAKES = frozenset(("pop", "popleft", "popitem", "get", "get_nowait", "values", "items", "copy"))
_RECEIVES = frozenset(("receive", "recv", "receive_nowait", "next", "__next__", "__anext__", "read", "readline"))
_TURNS = {"ROT_TWO": 2, "ROT_THREE": 3, "ROT_FOUR": 4}
_PUTS = frozenset(("LIST_APPEND", "SET_ADD", "MAP_ADD", "LIST_EXTEND", "SET_UPDATE", "DICT_UPDATE", "DICT_MERGE"))
_READS = frozenset(("GET_ITER", "GET_AITER", "BINARY_SUBSCR", "BINARY_SLICE", "GET_YIELD_FROM_ITER"))


class Own:
    """What is a function's alone: the names of its variables. What it calls may give what is not, by the name that it calls it by."""

    __slots__ = ("names", "_gives_of_others", "_known")

    def __init__(self, names: Iterable[str], gives_of_others: Callable[[str], bool]) -> None:
        self.names, self._gives_of_others = frozenset(names), gives_of_others
        self._known: Dict[str, bool] = {}

    def is_taken_by(self, call: str) -> bool:
        if call not in self._known:
            self._known[call] = self._gives_of_others(call)
        return self._known[call]


def made_of(
    instructions: List[Any],
    following: Dict[int, List[int]],
    place: int,
    asks: Iterable[int],
    given: Iterable[str],
    own: Optional["Own"] = None,
    others: Iterable[str] = (),
) -> FrozenSet[str]:
    """What the call at this place is given, or what is returned or yielded there. `asks` are the places that ask for messages; the names in `given` have the last one from
    the start. With `own`, it asks for none: what it takes from what is not its own is of an earlier one, and so is what `others` name."""
    by_offset = {one.offset: one for one in instructions}
    behind = {one.offset: other.offset for one, other in zip(instructions, instructions[1:])}
    asking = frozenset(asks)
    first = instructions[0].offset
    states: Dict[int, _State] = {first: ([], {**{name: _EARLIER for name in others}, **{name: frozenset((NOW,)) for name in given}})}
    waiting = [first]
    found = _NOTHING
    for _ in range(MOST):
        if not waiting:
            return found
        at = waiting.pop()
        one = by_offset[at]
        if at == place and one.opname in ("RETURN_VALUE", "YIELD_VALUE") and states[at][0]:
            tags, root = states[at][0][-1]
            found |= tags | states[at][1].get(f"in {root}", _NOTHING)
        for to in following.get(at, ()):
            is_jump = to not in (at, behind.get(at))
            stack, names = _after(one, states[at], is_jump, at in asking, own)
            if at == place and stack:
                found |= stack[-1][0]
            if _merge(states, to, stack, names):
                waiting.append(to)
    return _EARLIER


def _after(one: Any, state: _State, is_jump: bool, asks: bool, own: Optional[Own]) -> _State:
    stack, names = [*state[0]], state[1]
    name = one.argval[-1] if isinstance(one.argval, tuple) and one.argval else one.argval
    kind = one.opname
    try:
        effect = dis.stack_effect(one.opcode, one.arg if one.opcode >= dis.HAVE_ARGUMENT else None, jump=is_jump)
    except ValueError:
        effect = 0
    size = max(0, len(stack) + effect)
    top = stack[-1] if stack else _PUT
    if asks and not is_jump:
        # What it had until now is of an earlier one.
        names = {key: _EARLIER if NOW in tags else tags for key, tags in names.items()}
        stack = [(_EARLIER if NOW in tags else tags, root) for tags, root in stack]
    if kind.startswith("STORE_"):
        names = dict(names)
        if kind == "STORE_ATTR" and stack:
            names[f"{top[1]}.{name}"] = _tags(stack[-2:-1])
        elif kind == "STORE_SUBSCR" and len(stack) > 2 and stack[-3][0]:
            names[f"in {stack[-2][1]}"] = _put(stack[-2][1], stack[-3][0], names, own)
        elif isinstance(one.argval, tuple):
            _store_several(one, stack, names)
        elif isinstance(name, str):
            names[name] = top[0]
        del stack[size:]
    elif kind in _TURNS or kind == "SWAP":
        count = one.arg if kind == "SWAP" else _TURNS[kind]
        if len(stack) >= count:
            if kind == "SWAP":
                stack[-1], stack[-count] = stack[-count], stack[-1]
            else:
                stack.insert(len(stack) - count, stack.pop())
    elif kind in _PUTS:
        put = _tags(stack[size:])
        del stack[size:]
        if one.arg <= len(stack):
            stack[-one.arg] = (stack[-one.arg][0] | put, stack[-one.arg][1])
    elif kind in ("LOAD_ATTR", "LOAD_METHOD"):
        root = f"{top[1]}.{name}"
        value = (top[0] | names.get(root, _NOTHING), root)
        del stack[max(0, len(stack) - 1) :]
        stack += [value] * (size - len(stack))
    elif kind.startswith("LOAD_") and effect > 0:
        loaded = one.argval if isinstance(one.argval, tuple) else (name,)
        values: List[_Value] = [(names.get(key, _NOTHING), key) if isinstance(key, str) and kind != "LOAD_CONST" else _PUT for key in loaded]
        stack += [_PUT] * (effect - len(values)) + values[-effect:]
    elif kind == "PUSH_NULL":
        stack.append(_PUT)
    elif effect > 0:
        # Of what is there, or of nothing.
        stack += [(top[0], "")] * effect
    elif size:
        of = stack[size - 1 :]
        tags = _tags(of)
        if kind.startswith(("CALL", "PRECALL")):
            receiver, _, method = of[0][1].rpartition(".")
            if receiver and _tags(of[1:]):
                names = {**names, f"in {receiver}": _put(receiver, _tags(of[1:]), names, own)}
            if method in _TAKES:
                tags |= names.get(f"in {receiver}", _NOTHING)
            if own is not None and method in _TAKES | _RECEIVES:
                tags = of[0][0] | names.get(f"in {receiver}", _NOTHING) or _EARLIER
            # Before what is called there may be an empty place.
            at = 0 if of[0][1] else min(1, len(of) - 1)
            if own is not None and own.is_taken_by(of[at][1]):
                tags = _EARLIER
            elif own is not None and "." not in of[at][1] and NOW in _tags(of[at + 1 :]):
                # Where a function itself comes from that is given the message's own says nothing of that.
                tags = _tags(of[at + 1 :])
        if kind.startswith(("CALL", "PRECALL")) or kind in _READS:
            # What is called is none of what it is given.
            called = of[0][1] if kind not in _READS else ""
            for _, root in of:
                if root != called:
                    tags |= names.get(f"in {root}", _NOTHING)
        if own is not None and kind in _READS:
            # It is of what is read from, whatever the place in it.
            tags = of[0][0] | names.get(f"in {of[0][1]}", _NOTHING)
            if not tags and of[0][1] not in ("", "range"):
                tags = _EARLIER
        is_drop = kind.startswith("POP_") or "RETURN" in kind
        stack[size - 1 :] = [of[0]] if is_drop else [(tags, of[0][1])]
    else:
        stack = []
    if asks and not is_jump and stack:
        stack[-1] = (frozenset((NOW,)), stack[-1][1])
    return stack, names


def _put(into: str, tags: FrozenSet[str], names: _Names, own: Optional[Own]) -> FrozenSet[str]:
    """What is in something after this was put there."""
    if own is None or into not in own.names:
        return _EARLIER
    return tags | names.get(f"in {into}", _NOTHING)


def _store_several(one: Any, stack: List[_Value], names: _Names) -> None:
    """Two instructions in one, of late versions: both store, or the second loads what is stored."""
    first, second = one.argval
    names[first] = _tags(stack[-1:])
    if one.opname.startswith("STORE_FAST_STORE"):
        names[second] = _tags(stack[-2:-1])
    elif stack:
        stack[-1] = (names.get(second, _NOTHING), second)


def _tags(values: Iterable[_Value]) -> FrozenSet[str]:
    return frozenset().union(*(tags for tags, _ in values))


def _merge(states: Dict[int, _State], to: int, stack: List[_Value], names: _Names) -> bool:
    """Whether anything is new there."""
    known: Optional[_State] = states.get(to)
    if known is None:
        states[to] = (stack, names)
        return True
    count = min(len(stack), len(known[0]))
    both = [(one[0] | other[0], one[1]) for one, other in zip(known[0][:count], stack[:count])]
    all_names = {key: known[1].get(key, _NOTHING) | names.get(key, _NOTHING) for key in {*known[1], *names}}
    if [one[0] for one in both] == [one[0] for one in known[0]] and all_names == known[1]:
        return False
    states[to] = (both, all_names)
    return True
