"""The functions of ``libtracer_interceptors.so``, if it is in this process: include/tracer_interceptors.h is what they promise.

They are called with the GIL held: none of them waits for anything.
"""

import ctypes
import os
import sys
from typing import Any, Dict, List, Optional

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


class Functions:
    """The library's functions, as Python calls them."""

    def __init__(self, table: Api, native: Dict[str, Any]) -> None:
        self.declare, self.make_current, self.fail = table.declare, table.make_current, table.fail
        self.end, self.context, self.pause = table.end, table.context, table.pause
        self.next_send_of = table.next_send_of
        #: With the message's ``traceparent`` and ``tracestate``.
        self.begin_of = table.begin
        #: What the library does itself for every message: see its ``python.rs``.
        self.begin, self.next_send = native["begin"], native["next_send"]
        self.new_train, self.train_of_thread, self.lend = native["new_train"], native["train_of_thread"], native["lend"]
        self.all_habits, self.method, self.connect = native["all_habits"], native["method"], native["connect"]
        self.Processing, self.Habits, self.Turns = native["Processing"], native["Habits"], native["Turns"]
        self.doubt, self.given = native["doubt"], native["given"]
        self.loop_method = native["loop_method"]
        self.connect_loops, self.recall, self.member = native["connect_loops"], native["recall"], native["member"]


def find() -> Optional[Functions]:
    """The functions; ``None``: the library is not in this process, cannot work in it, or is older than this package."""
    if not _found:
        _found.append(_look_up())
    return _found[0]


#: What `find` has found.
_found: List[Optional[Functions]] = []


def _look_up() -> Optional[Functions]:
    for name, mode in ((None, ctypes.DEFAULT_MODE), (LIBRARY, os.RTLD_NOLOAD | os.RTLD_LAZY)):
        try:
            library = ctypes.PyDLL(name, mode)
            get, of_python = library.tracer_interceptors_api, library.tracer_interceptors_python
        except (OSError, AttributeError):
            continue
        get.restype, of_python.restype = ctypes.POINTER(Api), ctypes.py_object
        table = get()
        return _of(table.contents, of_python) if table else None
    return None


def _of(table: Api, of_python: Any) -> Optional[Functions]:
    if table.struct_size < ctypes.sizeof(Api):
        return _without(_OLDER)
    # One without a GIL says so in its flags; the library looks at the rest itself.
    native = None if "t" in getattr(sys, "abiflags", "") else of_python()
    if native is None:
        return _without("in this kind of Python, or in a second interpreter of a process")
    try:
        return Functions(table, native)
    except KeyError:
        return _without(_OLDER)


def _without(why: str) -> None:
    from ._note import note_once

    note_once(f"parents of what is sent are not known exactly {why}")


_OLDER = "with a libtracer_interceptors.so that is older than the Python package beside it: install both from one release"


LIBRARY = "libtracer_interceptors.so"
