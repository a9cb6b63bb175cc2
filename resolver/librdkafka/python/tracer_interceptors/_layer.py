"""Brings all this into a program: ``start/sitecustomize.py`` calls it before the program's first line."""

from __future__ import annotations

from ._hook import when_imported

# Every Python that `run` starts imports this: `typing` takes as long as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def install() -> None:
    """Waits for the program to import confluent-kafka; till then nothing is touched."""
    when_imported("confluent_kafka.cimpl", _replace)


def _replace(cimpl: Any) -> None:
    from . import _library

    api = _library.find()
    if api is None:
        # Not preloaded, or it cannot be done, which was said: the program is as without us.
        return
    from . import _aio, _clients, _queues, _started, _trains

    api.declare()
    _clients.replace(cimpl)
    _started.replace()
    when_imported("asyncio.events", _trains.event_loops)
    when_imported("asyncio.base_events", lambda module: _started.event_loop(module.BaseEventLoop))
    when_imported("signal", _started.signals)
    when_imported("queue", _queues.threads)
    when_imported("asyncio.queues", _queues.event_loops)
    when_imported("anyio.to_thread", _aio.threads)
    when_imported("trio.to_thread", _aio.threads)
    when_imported("uvloop", lambda module: _started.event_loop(module.Loop))
    when_imported("gevent", _started.gevent)
    when_imported("gevent.threadpool", _started.gevent_pool)
    when_imported("eventlet.greenthread", _started.eventlet)
    for package in ("confluent_kafka.aio", "confluent_kafka.experimental.aio"):
        when_imported(f"{package}._AIOConsumer", _aio.consumers)
        when_imported(f"{package}.producer._producer_batch_processor", _aio.producers)
