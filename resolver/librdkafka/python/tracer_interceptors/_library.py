"""The functions of ``libtracer_interceptors.so``, if it is in this process: include/tracer_interceptors.h is what they promise.

They are called with the GIL held: none of them waits for anything.
"""

import ctypes
import os
from typing import Any, Optional

_U64, _TEXT, _CALL = ctypes.c_uint64, ctypes.c_char_p, ctypes.PYFUNCTYPE


class Api(ctypes.Structure):
    """``ti_api``."""

    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("declare", _CALL(None)),
        ("begin", _CALL(_U64, _TEXT, ctypes.c_int32, ctypes.c_int64, _TEXT, _TEXT, _U64)),
        ("make_current", _CALL(_U64, _U64)),
        ("fail", _CALL(None, _U64, _TEXT, _TEXT)),
        ("end", _CALL(None, _U64)),
        ("end_all", _CALL(None)),
        ("context", _CALL(ctypes.c_int, _U64, ctypes.c_char_p)),
        ("next_send", _CALL(None, _U64, _U64)),
        ("next_send_of", _CALL(None, _TEXT, _TEXT, _TEXT)),
        ("pause", _CALL(None, _U64, ctypes.c_int)),
    ]


def find() -> Optional[Any]:
    """The functions; ``None``: the library is not in this process, cannot work in it, or is older than this package."""
    for name, mode in ((None, ctypes.DEFAULT_MODE), (LIBRARY, os.RTLD_NOLOAD | os.RTLD_LAZY)):
        try:
            get = getattr(ctypes.CDLL(name, mode), "tracer_interceptors_api")
        except (OSError, AttributeError):
            continue
        get.restype = ctypes.POINTER(Api)
        table = get()
        if table and table.contents.struct_size >= ctypes.sizeof(Api):
            return table.contents
    return None


LIBRARY = "libtracer_interceptors.so"
