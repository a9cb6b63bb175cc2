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
        if name not in _waiting:
            return None
        for finder in [*sys.meta_path]:
            if finder is self:
                continue
            find = getattr(finder, "find_spec", None)
            if find is None:
                # Of Python's older kind: Python itself goes on from here.
                return None
            spec = find(name, path, target)
            if spec is not None:
                _watch(name, getattr(spec, "loader", None))
                return spec
        return None


def _watch(name: str, loader: Any) -> None:
    """Acts on the module once this loads it, if it ever does: the program may only ask whether the module is there."""
    original = getattr(loader, "exec_module", None)
    if original is None:
        return

    def exec_module(module: Any) -> None:
        original(module)
        if loader.__dict__.get("exec_module") is exec_module:
            del loader.exec_module
        _loaded(module)

    try:
        # A class is the loader of other modules too.
        if type(loader) is type:
            raise AttributeError("it is loaded by a class")
        loader.exec_module = exec_module
    except AttributeError as error:
        _forget(name)
        _say(f"{name} cannot be watched ({error}): parents of what is sent are not known exactly")


def _loaded(module: Any) -> None:
    action = _forget(module.__name__)
    if action is not None:
        _act(action, module)


def _forget(name: str) -> Any:
    """What was to be done with the module of this name, if it was still to be done."""
    action = _waiting.pop(name, None)
    if action is not None and not _waiting:
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not _finder]
    return action


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
