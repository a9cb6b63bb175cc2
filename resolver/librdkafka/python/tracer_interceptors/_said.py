"""What a program may say and ask itself: see the package."""

import logging
import sys
from types import TracebackType
from typing import Any, Optional, Type

from ._note import tried

#: The module of that name, once the library was found, with which alone it is one.
_processing: Any = None


class processing:  # noqa: N801  (it is used as a statement)
    """The processing of a message: ``with processing(message):``, and ``async with`` in the same way.

    The message's span has the length of the block, and fails with the exception that leaves it. What is sent in the block, and by
    what is started in it, continues the message's trace. Does nothing for a message that is not traced, or that is ``None``.
    """

    __slots__ = ("_message", "_it", "_before", "_thread_before")

    def __init__(self, message: Any) -> None:
        self._message = message
        self._it: Any = None
        self._before: Any = None
        self._thread_before: Optional[int] = None

    def __enter__(self) -> "processing":
        message, self._message = self._message, None
        if message is not None and message.error() is None and _ready():
            self._before = _processing.current.get()
            self._it = it = tried(_found, message)
            if it is not None:
                it.said = it.firm = True
                _processing.enter(it)
                if not _is_layered():
                    # Nobody else tells the library what this thread is at.
                    self._thread_before = _processing.api.make_current(it.number)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        it, self._it = self._it, None
        before, self._before = self._before, None
        if it is None:
            return
        if error is not None and issubclass(type(error), Exception):
            _fail(it, type(error).__name__, _text_of(error))
        if self._thread_before is not None:
            _processing.api.make_current(self._thread_before)
        it.done()
        if _processing.current.get() is it:
            _processing.forsake()
            if before is not None and before is not it:
                _processing.enter(before)

    async def __aenter__(self) -> "processing":
        return self.__enter__()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.__exit__(kind, error, trace)

    def fail(self, error_type: str, description: str = "") -> None:
        """The processing failed, though no exception says so: ``error_type`` is a short name of which there are few."""
        if self._it is not None:
            _fail(self._it, error_type, description)

    @property
    def traceparent(self) -> Optional[str]:
        """Its context, as a ``traceparent`` for requests that are not Kafka's; ``None``: it is not traced."""
        return None if self._it is None else _processing.context_of(self._it)


def current_traceparent() -> Optional[str]:
    """The context of the message that the calling code is at, as a ``traceparent``; ``None``: it is at none."""
    # Asking is saying nothing: where nobody has found the library yet, nothing is current.
    found = sys.modules.get(f"{__package__}._processing")
    it = None if found is None else found.current.get()
    return None if it is None or it.is_unsure() else found.context_of(it)


class TraceFilter(logging.Filter):
    """Gives each log record ``trace_id`` and ``span_id`` of the message that the logging code is at, else empty texts.

    ``handler.addFilter(TraceFilter())``, and ``%(trace_id)s`` in the handler's format.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        context = current_traceparent()
        record.trace_id, record.span_id = ("", "") if context is None else (context[3:35], context[36:52])
        return True


def _ready() -> bool:
    """Whether the library is there, with which nothing is guessed from now on."""
    global _processing
    if _processing is None:
        from . import _library

        api = _library.find()
        if api is None:
            return False
        from . import _processing as found

        api.declare()
        _processing = found
    return True


def _is_layered() -> bool:
    """Whether the layer tells the library itself what a send follows from."""
    cimpl = sys.modules.get("confluent_kafka.cimpl")
    return getattr(cimpl, "_tracer_interceptors", False) is True


def _found(message: Any) -> Any:
    """The processing of a message: of the one that is at hand, or one that begins here."""
    it = _processing.current.get()
    if it is None or it.__class__ is not _processing.Processing or it.message is not message:
        it = _processing.at_hand((message,))
    if it is not None and it.number and not it.firm:
        _processing.api.pause(it.number, 0)
        return it
    return _processing.begin(message, _processing.Habits(), 0)


def _text_of(error: BaseException) -> str:
    """What it says of itself; nothing, if that fails: the program's own exception is the one that leaves the block."""
    try:
        return str(error)
    except Exception:
        return ""


def _fail(it: Any, error_type: str, description: str) -> None:
    if it.number:
        _processing.api.fail(it.number, error_type.encode(errors="replace"), description.encode(errors="replace"))
