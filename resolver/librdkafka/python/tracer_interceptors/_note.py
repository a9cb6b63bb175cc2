"""What may surprise, said once on standard error; the program runs all the same."""

import sys
from typing import Any, Callable, Set

_noted: Set[str] = set()
MOST = 100


def note_once(text: str) -> None:
    if text in _noted or len(_noted) >= MOST:
        return
    _noted.add(text)
    try:
        sys.stderr.write(f"tracer-interceptors: {text}\n")
    except (OSError, ValueError, AttributeError):
        # Nobody reads it.
        return


def note_defect(what: str, error: Exception) -> None:
    note_once(f"{what}, because of a defect of ours: {type(error).__name__}: {error}")


def tried(function: Callable[..., Any], *args: Any) -> Any:
    """What tracing does never fails the program's call: ``None`` where it cannot be done."""
    try:
        return function(*args)
    except Exception as error:
        note_defect("a message is traced without its parent", error)
        return None
