"""Calls that are made by the threads of a pool on behalf of the task that awaits them, and confluent-kafka's clients for asyncio,
which are made of such."""

from functools import update_wrapper, wraps
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from . import _sends, _started
from ._note import note_defect, note_once, tried
from ._processing import adopt, current, depart, forsake


def threads(module: Any) -> None:
    """``to_thread.run_sync()`` of anyio and of trio."""
    from inspect import signature  # Whoever has such threads has it.

    original = module.run_sync
    name = next(iter(signature(original).parameters))

    @wraps(original)
    async def run_sync(*args, **kwargs):  # type: ignore[no-untyped-def]
        function = args[0] if args else kwargs.get(name)
        if not callable(function):
            return await original(*args, **kwargs)
        awaited = _started.Awaited(function)

        def run(*given):  # type: ignore[no-untyped-def]
            return awaited.run(*given)

        if type(function) in (FunctionType, BuiltinFunctionType, MethodType):
            # A thread has its name from it.
            update_wrapper(run, function)
        if args:
            args = (run, *args[1:])
        else:
            kwargs[name] = run
        result = await original(*args, **kwargs)
        tried(awaited.adopt)
        return result

    module.run_sync = run_sync


def consumers(module: Any) -> None:
    """``AIOConsumer``: the task that awaits a message is at it, whichever thread was handed it."""
    kind = getattr(module, "AIOConsumer", None)
    if kind is None:
        return
    for name in ("poll", "consume", "close"):
        original = getattr(kind, name, None)
        if original is None:
            note_once(f"this AIOConsumer has no {name}: parents of what is sent are not known exactly")
            continue
        setattr(kind, name, _awaited(original))


def _awaited(original: Any) -> Any:
    @wraps(original)
    async def call(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        tried(_leave)
        result = await original(self, *args, **kwargs)
        tried(_adopt, self, result)
        return result

    return call


def _leave() -> None:
    it = current.get()
    if it is not None and not it.firm:
        forsake()
        depart(it)


def _adopt(consumer: Any, result: Any) -> None:
    habits = getattr(getattr(consumer, "_consumer", None), "_tracer_interceptors", None)
    last = None if habits is None else habits.last
    if last is not None and (last.message is result or type(result) is list and any(last.message is one for one in result)):
        adopt(last)


def producers(module: Any) -> None:
    """``AIOProducer``: each record in its buffer has with it what it follows from."""
    kind = getattr(module, "ProducerBatchManager", None)
    original = getattr(kind, "add_message", None)
    if kind is None or original is None:
        note_once("this AIOProducer's buffer is not known: what it sends begins traces")
        return

    @wraps(original)
    def add_message(self, msg_data, *args, **kwargs):  # type: ignore[no-untyped-def]
        try:
            # Of none too: or it would be of the message of whoever sends the buffer.
            msg_data[_sends.NOTED] = _sends.note(msg_data.get("value"), msg_data.get("key"))
        except Exception as error:
            note_defect("a record is sent without its parent", error)
        return original(self, msg_data, *args, **kwargs)

    kind.add_message = add_message
