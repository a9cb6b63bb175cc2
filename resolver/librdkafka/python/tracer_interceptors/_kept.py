"""Messages that their context has left without a send, and that the program may still have: in a list, in a queue.

They are known again when they are given to a task, a thread or a job of a pool, and when their own value or key is sent on: the
very object, which no other message has. A message stays here only as long as the program has it: two are looked at with every
call for messages and every send, so that the row is as long as the program's own.
"""

import sys
from collections import deque
from typing import Any, Deque, Dict, Iterable, Optional

MOST = 10_000

row: Deque[Any] = deque()
_by_object: Dict[int, Any] = {}


def keep(it: Any) -> None:
    """Keeps a processing; the oldest goes when there are too many."""
    if len(row) >= MOST:
        _forget(row.popleft())
    row.append(it)
    message = it.message
    _by_object[id(message)] = it
    for part in (message.value(), message.key()):
        if _is_its_own(part):
            # One object in two messages says nothing of either.
            if _by_object.pop(id(part), None) is None:
                _by_object[id(part)] = it


def sweep() -> None:
    """Lets go of what the program has let go of, among the next two."""
    for _ in range(min(2, len(row))):
        try:
            it = row.popleft()
        except IndexError:  # Another thread was faster.
            return
        if is_held(it):
            row.append(it)
        else:
            _forget(it)


def of_objects(objects: Iterable[Any]) -> Optional[Any]:
    """The processing whose message, value or key is among these; ``None`` where they are of several."""
    found = None
    for one in objects:
        it = _by_object.get(id(one))
        if it is None:
            continue
        if is_of(it, (one,)):
            if found is not None and found is not it:
                return None
            found = it
    return found


def is_of(it: Any, objects: Iterable[Any]) -> bool:
    """Whether the message is among these, or its value or key, when they cannot be another's."""
    message = it.message
    return any(
        one is message or _is_its_own(one) and (one is message.value() or one is message.key()) for one in objects
    )


def waits_of_train(train: int) -> bool:
    """Whether the program still has a message that this train was handed before, and has made nothing of."""
    return any(it.train == train and it.waits() for it in list(row))


def is_held(it: Any) -> bool:
    """Whether the program has the message, or a part of it."""
    return any(found > free for found, free in zip(_references(it), _FREE))


def _references(it: Any) -> Iterable[int]:
    """How often the message, its value and its key are referred to."""
    message = it.message
    value, key = message.value(), message.key()
    return (
        sys.getrefcount(message),
        sys.getrefcount(value) if _is_its_own(value) else 0,
        sys.getrefcount(key) if _is_its_own(key) else 0,
    )


def _is_its_own(part: Any) -> bool:
    """Whether the object is this message's alone: Python has one of a kind of the empty and of single bytes."""
    return issubclass(type(part), bytes) and bytes.__len__(part) > 1


def _forget(it: Any) -> None:
    message = it.message
    for part in (message, message.value(), message.key()):
        if _by_object.get(id(part)) is it:
            del _by_object[id(part)]


class _Nobody:
    """A processing whose message nobody has, to see how many references there are then."""

    class _Message:
        def __init__(self) -> None:
            self._value, self._key = bytes(2), bytes(3)

        def value(self) -> bytes:
            return self._value

        def key(self) -> bytes:
            return self._key

    def __init__(self) -> None:
        self.message = self._Message()


_FREE = tuple(_references(_Nobody()))
