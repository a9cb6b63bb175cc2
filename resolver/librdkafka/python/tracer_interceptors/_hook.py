"""Lets something happen to a module when the program imports it; every other import is as ever."""

from __future__ import annotations

import sys

# Every Python that `run` starts imports this: `typing` takes as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

_waiting: Dict[str, Callable[[Any], None]] = {}


def when_imported(name: str, action: Callable[[Any], None]) -> None:
    """Calls the action with the module: now, if it is there, or when it is imported, before its importer sees it."""
    module = sys.modules.get(name)
    if module is not None:
        _act(action, module)
        return
    if not _waiting:
        sys.meta_path.insert(0, _finder)
    _waiting[name] = action


class _Finder:
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        action = _waiting.pop(name, None)
        if action is None:
            return None
        if not _waiting:
            sys.meta_path.remove(self)  # type: ignore[arg-type]
        from importlib.util import find_spec

        # This one finds it no more.
        spec = find_spec(name)
        loader = getattr(spec, "loader", None)
        original = getattr(loader, "exec_module", None)
        if original is None:
            return spec

        def exec_module(module: Any) -> None:
            del loader.exec_module  # type: ignore[union-attr]
            original(module)
            _act(action, module)

        try:
            loader.exec_module = exec_module  # type: ignore[union-attr]
        except AttributeError as error:
            _say(f"{name} cannot be watched ({error}): parents of what is sent are not known exactly")
        return spec


def _act(action: Callable[[Any], None], module: Any) -> None:
    try:
        action(module)
    except Exception as error:
        _say(f"{module.__name__} cannot be watched ({type(error).__name__}: {error}): parents are not known exactly")


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"tracer-interceptors: {text}\n")
    except (OSError, ValueError, AttributeError):
        # Nobody reads it.
        return


_finder = _Finder()
