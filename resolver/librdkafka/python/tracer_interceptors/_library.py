"""The functions of ``libtracer_interceptors.so``, if it is in this process: include/tracer_interceptors.h is what they promise.

They are called with the GIL held: none of them waits for anything.
"""

import ctypes
import os
from typing import Any, List, Optional

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

    def __init__(self, table: Api) -> None:
        self.declare, self.make_current, self.fail = table.declare, table.make_current, table.fail
        self.end, self.context, self.pause = table.end, table.context, table.pause
        self.next_send, self.next_send_of = table.next_send, table.next_send_of
        #: With the message's ``traceparent`` and ``tracestate``.
        self.begin_of = begin = table.begin

        def begin_here(topic: bytes, partition: int, offset: int, train: int) -> int:
            return begin(topic, partition, offset, None, None, train)  # type: ignore[no-any-return]

        self.begin: Any = begin_here


class _Quick(ctypes.Structure):
    """The same for every message, without ctypes: see the library's ``python.rs``."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("struct_size", "begin", "end", "next_send")]


class _Method(ctypes.Structure):
    """``PyMethodDef``."""

    _fields_ = [("name", _TEXT), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", _TEXT)]


#: ``METH_FASTCALL``.
_FASTCALL = 0x80

#: Python refers to these as long as their functions live.
_methods: List[_Method] = []


def find() -> Optional[Functions]:
    """The functions; ``None``: the library is not in this process, cannot work in it, or is older than this package."""
    for name, mode in ((None, ctypes.DEFAULT_MODE), (LIBRARY, os.RTLD_NOLOAD | os.RTLD_LAZY)):
        try:
            library = ctypes.CDLL(name, mode)
            get = library.tracer_interceptors_api
        except (OSError, AttributeError):
            continue
        get.restype = ctypes.POINTER(Api)
        table = get()
        if table and table.contents.struct_size >= ctypes.sizeof(Api):
            functions = Functions(table.contents)
            _quicken(functions, library)
            return functions
    return None


def _quicken(functions: Functions, library: ctypes.CDLL) -> None:
    try:
        get, make = library.tracer_interceptors_python, ctypes.pythonapi.PyCFunction_NewEx
    except AttributeError:
        # ctypes does it too, at its price.
        return
    get.restype = ctypes.POINTER(_Quick)
    quick = get()
    if not quick or quick.contents.struct_size < ctypes.sizeof(_Quick):
        return
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    for name in ("begin", "end", "next_send"):
        method = _Method(name.encode(), getattr(quick.contents, name), _FASTCALL, None)
        _methods.append(method)
        setattr(functions, name, make(ctypes.addressof(method), None, None))


LIBRARY = "libtracer_interceptors.so"
