"""Does what a layer could spoil, without a message and in the course of one, and says what comes of it: the same with the layer as
without."""

import asyncio
import collections
import functools
import inspect
import queue
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

warnings.simplefilter("ignore")

import anyio
import anyio.to_thread
import eventlet
import gevent
import gevent.threadpool
import trio.to_thread
from clients import consumer, producer
from confluent_kafka import Message

try:
    from tracer_interceptors import processing
except ImportError:
    processing = nullcontext

said = []


def say(*words):
    print(*words, flush=True)


def tried(call, *args, **more):
    try:
        return call(*args, **more)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split(" at 0x")[0]


# Threads that the system has no room for.


def threads_that_cannot_be_started(message):
    name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
    real = getattr(threading, name)

    def refuse(*_, **__):
        raise RuntimeError("can't start new thread")

    class Own(threading.Thread):
        def run(self):
            say("its class's")

    replaced = threading.Thread(args=(message,))
    replaced.run = lambda: say("its own")
    begun = threading.Event()
    waits = threading.Thread(target=begun.wait, args=(30,))
    for thread in (threading.Thread(target=say, args=("worked", message is None)), Own(), replaced, waits):
        before = {name for name in vars(thread)}
        setattr(threading, name, refuse)
        try:
            say(tried(thread.start), tried(thread.start))
        finally:
            setattr(threading, name, real)
        say(set(vars(thread)) == before)
        thread.start()
        if thread is waits:
            say(tried(thread.start))
            begun.set()
        thread.join()
        say(tried(thread.start), "run" in vars(thread))


# Objects of the program's that answer over the network.


class Touchy:
    """Tells whatever is asked of it."""

    @property
    def __class__(self):
        said.append("__class__")
        return dict

    def __getattr__(self, name):
        said.append(name)
        raise RuntimeError(name)

    def __eq__(self, other):
        said.append("__eq__")
        return True

    def __hash__(self):
        said.append("__hash__")
        return 1

    def __bool__(self):
        said.append("__bool__")
        return True

    def __len__(self):
        said.append("__len__")
        return 1

    def __iter__(self):
        said.append("__iter__")
        return iter((1, 2))

    def __call__(self, *_, **__):
        return None


def told(name, call, *args, **more):
    """What is asked of them by a call."""
    del said[:]
    result = tried(call, *args, **more)
    say(name, result if isinstance(result, (str, int)) else "", *said)


def touched(message):
    touchy, taker = Touchy(), lambda *_, **__: None
    holder = functools.partial(taker, touchy, key=touchy)

    def by_default(one=touchy):
        return touchy is one

    def joined(thread):
        thread.start()
        thread.join()

    class Holder:
        def __init__(self):
            self.touchy = touchy

        def take(self, one):
            return one is self.touchy

    for number, (function, args) in enumerate(
        [(taker, (touchy,)), (touchy, ()), (holder, ()), (by_default, ()), (Holder().take, (touchy,))]
    ):
        told(f"thread {number}", lambda: joined(threading.Thread(target=function, args=args, name="touched")))
        told(f"daemon {number}", lambda: joined(threading.Thread(target=function, args=args, name="touched", daemon=True)))
        told(f"timer {number}", lambda: joined(threading.Timer(0.001, function, args)))
        told(f"pool {number}", lambda: POOL.submit(function, *args).result())
        told(f"gevent {number}", lambda: gevent.spawn(function, *args).join())
        told(f"hub {number}", lambda: gevent.get_hub().threadpool.spawn(function, *args).get())
        told(f"eventlet {number}", lambda: eventlet.spawn(function, *args).wait())
        told(f"signal {number}", lambda: signal.signal(signal.SIGUSR2, function))
        told(f"asyncio {number}", lambda: asyncio.run(touched_by_tasks(function, args)))
    told("args", lambda: joined(threading.Thread(target=taker, args=touchy, kwargs={"a": touchy})))
    told("generator", lambda: joined(threading.Thread(target=lambda *all: say(all), args=(one for one in (1, 2)))))
    for kind in (queue.Queue, queue.LifoQueue, queue.SimpleQueue):
        line = kind()
        told(kind.__name__, lambda: line.put(touchy))
        told(kind.__name__, lambda: line.put((touchy, touchy)))
        told(kind.__name__, lambda: type(line.get()).__name__ + type(line.get()).__name__)
    told("produce", lambda: payments.produce("payments", touchy))
    told("produce_batch", lambda: payments.produce_batch("payments", touchy))
    told("header", lambda: payments.produce("payments", b"1", headers=[("a", touchy)]))
    for _ in range(2):
        told("beside a send", lambda: payments.produce("payments", by_default() and b"1"))


async def touched_by_tasks(function, args):
    loop = asyncio.get_running_loop()
    line = asyncio.Queue()
    touchy = Touchy()

    async def task(one, *more):
        payments.produce("payments", b"1")
        return type(one) is Touchy

    told("task", lambda: type(loop.create_task(task(touchy, *args))).__name__)
    told("no coroutine", lambda: loop.create_task(touchy))
    told("soon", lambda: type(loop.call_soon(function, *args)).__name__)
    told("later", lambda: type(loop.call_later(0, function, *args)).__name__)
    told("line", lambda: line.put_nowait(touchy))
    told("line", lambda: line.get_nowait() is touchy)
    del said[:]
    await asyncio.gather(
        asyncio.to_thread(function, *args), loop.run_in_executor(None, function, *args), loop.run_in_executor(POOL, function, *args)
    )
    await anyio.to_thread.run_sync(function, *args)
    await asyncio.sleep(0.01)
    say("awaited", *said)


# Calls that name what they give.


def by_names(message):
    def named(function, **values):
        """Calls it with each of its parameters by its name, as its signature has them."""
        parameters = inspect.signature(function).parameters.values()
        names = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
        first = [values[one.name] for one in parameters if one.kind is one.POSITIONAL_ONLY]
        return function(*first, **{name: values[name] for name in names if name in values})

    def handle(number, frame):
        say("handled", number)

    say(named(signal.signal, signalnum=signal.SIGUSR1, handler=handle) is handle)
    say(named(signal.getsignal, signalnum=signal.SIGUSR1) is handle)
    say(tried(signal.signal), tried(signal.signal, signal.SIGUSR1), tried(signal.signal, signal.SIGUSR1, handle, 1))
    signal.raise_signal(signal.SIGUSR1)
    line = queue.Queue()
    named(line.put, item=1, block=True, timeout=1)
    say(named(line.get, block=True, timeout=1))
    say(named(POOL.submit, fn=lambda: 2).result(), POOL.submit(dict, fn=3, self=4).result(), tried(POOL.submit, no=1))
    threads = gevent.get_hub().threadpool
    say(threads.spawn(func=lambda: 5).get(), threads.spawn(dict, key=6).get(), tried(threads.spawn))
    say(trio.run(functools.partial(trio.to_thread.run_sync, sync_fn=lambda: 7)))
    say(tried(trio.run, trio.to_thread.run_sync))

    async def asynchronous():
        loop = asyncio.get_running_loop()
        say(await named(anyio.to_thread.run_sync, func=lambda: 8), await named(loop.run_in_executor, executor=None, func=lambda: 9))
        line = asyncio.Queue()
        named(line.put_nowait, item=10)
        say(named(line.get_nowait))
        await named(line.put, item=11)
        say(await named(line.get), await loop.create_task(coro=asyncio.sleep(0, 12)))
        called = asyncio.Queue()
        for name, call in {"delay": loop.call_later, "when": loop.call_at}.items():
            named(call, **{name: 0}, callback=functools.partial(called.put_nowait, name))
        loop.call_soon(callback=functools.partial(called.put_nowait, "soon"))
        say(*sorted([await called.get() for _ in range(3)]))

    asyncio.run(asynchronous())


# What a program says itself.


class Unspoken(Exception):
    def __str__(self):
        return self.args[1]


def in_blocks(message):
    try:
        with processing(message):
            raise Unspoken("once")
    except Exception as error:
        say(type(error).__name__)
    for made in ({}, {"topic": "a"}, {"partition": 0, "offset": 1}, {"topic": "a", "partition": 0, "offset": 1}):
        with processing(tried(Message, **made)):
            say(made)


# Pools of the program's own.


class Named(ThreadPoolExecutor):
    """Tells what it is to do."""

    def submit(self, function, *args, **kwargs):
        say("does", function.__name__, type(function).__name__)
        return super().submit(function, *args, **kwargs)


def in_pools(message):
    def named(one):
        return one

    async def coroutine():
        return None

    async def main():
        loop = asyncio.get_running_loop()
        with Named(1) as pool:
            say(await loop.run_in_executor(pool, named, message is None), pool.submit(named, 2).result())
        loop.set_debug(True)
        for mistaken in (coroutine, coroutine(), 5):
            say(tried(loop.run_in_executor, None, mistaken))
        loop.set_debug(False)

    def name_of_thread():
        return threading.current_thread().name.split(" from ")[0]

    asyncio.run(main())
    say(trio.run(trio.to_thread.run_sync, name_of_thread))


# Queues that the program empties itself.


class Latest(queue.Queue):
    """Has the last ones only."""

    def _init(self, maxsize):
        self.queue = collections.deque(maxlen=2)


class Freed:
    def __del__(self):
        say("freed")


def emptied(message):
    lines = queue.Queue(), asyncio.Queue(), Latest()
    for line in lines:
        put = getattr(line, "put_nowait")
        for _ in range(3):
            put(Freed())
            say("put")
        getattr(line, "queue", getattr(line, "_queue", None)).clear()
        for number in range(3):
            put(number)
        say(line.get_nowait(), line.get_nowait())
    for line in queue.Queue(), asyncio.Queue():
        line.put_nowait(Freed())
        # Since Python 3.13.
        getattr(line, "shutdown", lambda immediate: line.get_nowait())(immediate=True)
        say("shut down")


POOL = ThreadPoolExecutor(1)
payments = producer()
PARTS = [threads_that_cannot_be_started, touched, by_names, in_blocks, in_pools, emptied]
for part in PARTS:
    part(None)
orders = consumer("orders")
for part in PARTS:
    part(orders.poll(30))
assert payments.flush(30) == 0
orders.close()
POOL.shutdown()
