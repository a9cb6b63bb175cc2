"""OpenTelemetry beside us, if the program imports it: its spans are parents of what is sent, and children of a processing.

Nothing is imported that the program has not imported.
"""

import sys
from typing import Any, Callable, Optional, Tuple
from weakref import ref

_LOADED = sys.modules
_span_class: Any = None
#: Gives the context that the calling code is at as a ``traceparent``, if it was started under a message, else an empty text.
context_if_started: Callable[[], Optional[str]] = lambda: ""


def parent() -> Optional[Tuple[bytes, Optional[bytes]]]:
    """The active span of the program's own, as ``traceparent`` and ``tracestate``."""
    trace = _LOADED["opentelemetry.trace"]
    span = trace.get_current_span()
    if _is_ours(span):
        return None
    context = span.get_span_context()
    if not context.is_valid:
        return None
    state = context.trace_state.to_header() if context.trace_state else ""
    traceparent = b"00-%032x-%016x-%02x" % (context.trace_id, context.span_id, context.trace_flags)
    return traceparent, state.encode() if state else None


def attach(it: Any, traceparent: Optional[str]) -> None:
    """What the program traces itself from now on, in the calling context, are children of this processing.

    Without a `traceparent` it is not sure that they are: they stay what they were, and only tell that the message is worked on.
    """
    trace, context = _LOADED.get("opentelemetry.trace"), _LOADED.get("opentelemetry.context")
    if trace is None or context is None:
        return
    outer = _without_ours(trace, context.get_current())
    if traceparent is None:
        ours = trace.get_current_span(outer).get_span_context()
    else:
        ours = _span_context(trace, traceparent)
    # Never detached by its token: contexts of the program's own may end in between, in an order that is theirs.
    context.attach(trace.set_span_in_context(_class(trace)(ours, outer, it), outer))


def _span_context(trace: Any, traceparent: str) -> Any:
    return trace.SpanContext(
        int(traceparent[3:35], 16),
        int(traceparent[36:52], 16),
        is_remote=False,
        trace_flags=trace.TraceFlags(int(traceparent[53:55], 16)),
    )


def detach() -> None:
    """The calling context is at no message. What the program has activated meanwhile stays."""
    trace, context = _LOADED.get("opentelemetry.trace"), _LOADED.get("opentelemetry.context")
    if trace is None or context is None:
        return
    span = trace.get_current_span(context.get_current())
    if _is_ours(span):
        context.attach(span.outer)


def _without_ours(trace: Any, now: Any) -> Any:
    """The context below whatever of ours is there, be it because a context of the program's own has brought it back."""
    span = trace.get_current_span(now)
    return span.outer if _is_ours(span) else now


def _is_ours(span: Any) -> bool:
    return _span_class is not None and type(span) is _span_class


def _class(trace: Any) -> Any:
    global _span_class
    if _span_class is None:

        class ProcessingSpan(trace.NonRecordingSpan):  # type: ignore[misc]
            """Stands for the consumer span, which the library records."""

            def __init__(self, context: Any, outer: Any, it: Any) -> None:
                super().__init__(context)
                self.outer = outer
                # Contexts are kept by whoever likes; they are no work on the message.
                self._it = ref(it)

            def get_span_context(self) -> Any:
                it = self._it()
                if it is not None:
                    # A span is about to begin under it, or its ids are logged.
                    it.started = True
                now = context_if_started()
                if now is None:
                    return trace.get_current_span(self.outer).get_span_context()
                return _span_context(trace, now) if now else super().get_span_context()

        _span_class = ProcessingSpan
    return _span_class

