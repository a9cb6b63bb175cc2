"""Traces the librdkafka clients of a Python program, confluent-kafka's for example, without a line of its code.

With no change to the program::

    INTERCEPTORS_CONFIG_FILE=tracing.toml python -m tracer_interceptors run python app.py

Or with one property of each client::

    producer = Producer(tracer_interceptors.client_properties({"bootstrap.servers": "localhost:9092"}))

A program that takes several messages in hand at once, in a way that cannot be seen from outside, says which one it is at::

    for message in messages:
        with tracer_interceptors.processing(message):
            ...
"""

from __future__ import annotations

import os

# Every Python that `run` starts imports this: `typing` takes as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional

    from ._said import TraceFilter, current_traceparent, processing

__all__ = ["TraceFilter", "client_properties", "current_traceparent", "library_path", "processing"]


def __getattr__(name: str) -> Any:
    # Only programs that say or ask something load what that needs.
    if name in ("TraceFilter", "current_traceparent", "processing"):
        from . import _said

        return getattr(_said, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def library_path() -> str:
    """The absolute path of ``libtracer_interceptors.so``.

    It is both a value for the client property ``plugin.library.paths`` and one for ``LD_PRELOAD``. The backend plugins
    lie beside it, where it finds them.
    """
    return os.path.join(_LIB, "libtracer_interceptors.so")


def client_properties(config: Optional[Mapping[str, Any]] = None, **more: Any) -> Dict[str, Any]:
    """A client's properties, with the library among its plugins.

    Returns a new ``dict``: what ``config`` and ``more`` hold, ``more`` winning, and ``plugin.library.paths``, which comes
    first, as librdkafka wants it. Plugins that are named there already stay and come before ours. Calling it
    on its own result changes nothing.

    Raises ``ValueError`` if the library lies at a path that the property cannot hold.
    """
    properties = {**(config or {}), **more}
    ours = library_path()
    if ";" in ours:
        raise ValueError(f"{PROPERTY} cannot name {ours}, because of the semicolon in it: install the package elsewhere")
    plugins = [path for path in str(properties.pop(PROPERTY, None) or "").split(";") if path]
    if ours not in plugins:
        plugins.append(ours)
    return {PROPERTY: ";".join(plugins), **properties}


PROPERTY = "plugin.library.paths"

_HERE = os.path.dirname(os.path.abspath(__file__))
_LIB = os.path.join(_HERE, "lib")
if not os.path.isdir(_LIB):
    # In PREFIX/share/tracer-resolver/python, where another package than the wheel has put this.
    _LIB = os.path.normpath(os.path.join(_HERE, "../../../../lib/tracer-resolver"))
