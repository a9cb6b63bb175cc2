"""Python imports this when it starts, because ``tracer-interceptors run`` has put its folder into ``PYTHONPATH``.

It brings the layer in that knows which message a task is at, and then imports the ``sitecustomize`` that there is without it. The
variable stays as it is, so that Python programs that this one starts are like it.
"""

import os
import sys


def _bring_in(package: str) -> None:
    """The package that this folder lies in: by its place, for this Python may not have it installed."""
    beside = os.path.dirname(package)
    sys.path.insert(0, beside)
    try:
        from tracer_interceptors import _layer
    finally:
        sys.path.remove(beside)
    _layer.install()


def _go_on(folder: str) -> None:
    """Imports what Python would have imported without us."""
    ours = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != folder]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        if ours is not None:
            sys.modules["sitecustomize"] = ours


_folder = os.path.dirname(os.path.abspath(__file__))
try:
    _bring_in(os.path.dirname(_folder))
except Exception as _error:
    sys.stderr.write(f"tracer-interceptors: parents are not known exactly: {type(_error).__name__}: {_error}\n")
_go_on(_folder)
