"""Traces the librdkafka clients of a Python program, confluent-kafka's for example, without a line of its code.

With no change to the program::

    INTERCEPTORS_CONFIG_FILE=tracing.toml python -m tracer_interceptors run python app.py

Or with one property of each client::

    producer = Producer(tracer_interceptors.client_properties({"bootstrap.servers": "localhost:9092"}))
"""

import os
from typing import Any, Dict, Mapping, Optional

__all__ = ["client_properties", "library_path"]


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

_LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib")
