"""One thing after the other of the layer fails: the program does what it does all the same, and a line says what is lost."""

import asyncio
import queue
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

warnings.simplefilter("ignore")

import anyio
import eventlet
import gevent
from clients import consumer, producer, settings
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition
from confluent_kafka.aio import AIOConsumer, AIOProducer

done, reports = [], []

#: Functions of the layer's modules, and methods: what is in one line fails at once.
DEFECTS = """
given
at at_hand
enter
forsake
depart leave
handed begin
say cause
runs
with_report
train
is_of of_objects sweep is_held
_of_call _of_coroutine is_sure
_is_service
_begin_in
habits_of
_refusal
adopt
Awaited.begin
Awaited.enter
Awaited.adopt
_Turns._leave
_Turns._enter
_leave _take _note
"""


def fails(*_, **__):
    raise KeyError("defect")


class Broken:
    def __init__(self, line):
        self.names, self.were = line.split(), []

    def __enter__(self):
        for module in [one for name, one in sys.modules.items() if name.startswith("tracer_interceptors.")]:
            for name in self.names:
                holder, last = module, name
                if "." in name:
                    kind, last = name.split(".")
                    holder = getattr(module, kind, None)
                if last in getattr(holder, "__dict__", ()):
                    self.were.append((holder, last, getattr(holder, last)))
                    setattr(holder, last, fails)
        assert self.were, self.names

    def __exit__(self, *_):
        for holder, name, was in reversed(self.were):
            setattr(holder, name, was)


def work(*given):
    done.append(given)


def report(error, message):
    assert error is None
    reports.append(message)


def threads(message):
    thread = threading.Thread(target=work, args=(message,))
    thread.start()
    thread.join()
    timer = threading.Timer(0.001, work, (message,))
    timer.start()
    timer.join()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work, message).result()
        asyncio.run(tasks(pool, message))
    line = queue.Queue()
    line.put(message)
    work(line.get())
    gevent.spawn(work, message).join()
    gevent.get_hub().threadpool.spawn(work, message).get()
    eventlet.spawn(work, message).wait()
    signal.raise_signal(signal.SIGUSR1)


async def tasks(pool, message):
    async def task(message):
        work(await asyncio.to_thread(len, message.value()))
        work(await anyio.to_thread.run_sync(len, message.value()))
        work(await asyncio.get_running_loop().run_in_executor(pool, int, "6"))

    waiting, ended = asyncio.Queue(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_soon(work, message)
    loop.call_later(0.001, work, message)
    loop.call_later(0.01, ended.set)
    await asyncio.create_task(task(message))
    await waiting.put(message)
    work(await waiting.get())
    await ended.wait()
    anywhere = AIOConsumer(settings(group_id="anywhere"))
    await anywhere.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    work(await anywhere.poll(30))
    await anywhere.close()
    sends = AIOProducer(settings())
    sent = await sends.produce("payments", b"paid")
    await sends.flush()
    work(await sent)
    await sends.close()


def sends(message, number):
    payments.produce("payments", b"paid " + message.value(), partition=number % 10, on_delivery=report)
    payments.produce_batch("payments", [{"value": b"paid"}])
    try:
        payments.produce("payments", b"much" * 1_000_000)
        raise AssertionError("it was taken")
    except KafkaException:
        work()
    assert payments.flush(30) == 0


def round_of(number):
    orders = consumer("orders")
    first, message = orders.poll(30), orders.poll(30)
    threads(message)
    sends(message, number)
    for _ in range(2):
        for one in orders.consume(3, 30):
            work(one)
            sends(one, number)
    assert len(orders.consume(1, 30)) == 1
    sends(first, number)
    for one in orders.consume(2, 30):
        work(one)
        break
    with orders:
        work(orders.poll(0))
    done.append(len(reports))


signal.signal(signal.SIGUSR1, work)
payments = producer()
lines = DEFECTS.split("\n")[1:-1]
round_of(0)
once = len(done)
chosen = lines if sys.argv[1] == "broken" else lines[:2]
for number, line in enumerate(chosen):
    if sys.argv[1] == "broken":
        with Broken(line):
            round_of(number)
    else:
        round_of(number)
assert len(done) == once * (len(chosen) + 1), (once, len(done))
print(once)
