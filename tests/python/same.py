"""Says what a program can see of its clients: the same with the layer as without."""

import asyncio
import copy
import inspect
import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, Producer, TopicPartition, cimpl
from confluent_kafka.aio import AIOConsumer, AIOProducer

from clients import consumer, producer, settings


def refused(call, *args, **more):
    try:
        call(*args, **more)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("not refused")


for kind in (Consumer, Producer, confluent_kafka.ShareConsumer):
    print(kind, kind.__name__, kind.__qualname__, kind.__module__, len(kind.__doc__ or ""), kind is getattr(cimpl, kind.__name__))
    for name in ("poll", "close"):
        method = getattr(kind, name)
        print(name, method.__name__, method.__qualname__, len(method.__doc__))
print(refused(Consumer), refused(Consumer, {}), refused(Producer, {"no.such": 1}), sep="\n")

orders, payments = consumer("orders"), producer()
print(*(refused(setattr, client, "own", 1).split(":")[0] for client in (orders, payments)))
print(isinstance(orders, cimpl.Consumer), bool(payments), len(payments))
print(refused(payments.produce), refused(payments.produce, "payments", 5), refused(payments.produce, "payments", b"", no=1), sep="\n")
print(refused(payments.produce, "payments", bytes(3_000_000)))
print(payments.produce("payments", b"1", b"k", 0, None, None, 0, [("a", b"b")]))
print(payments.produce_batch("payments", [{"value": b"1"}, {"value": b"2"}]), payments.produce_batch("payments", []))
print(refused(payments.produce_batch, "payments", 1), refused(payments.produce_batch, "payments", [1]), sep="\n")
reports = []
payments.produce("payments", b"3", on_delivery=lambda error, report: reports.append((error, report.topic())))
payments.produce("payments", b"4", callback=lambda error, report: reports.append((error, report.topic())))
print(payments.flush(30), reports, payments.poll(0))

first = orders.poll(30)
print(type(first) is Message, first.value(), first.offset(), first.headers())
some = []
while len(some) < 4:
    some += orders.consume(2, 1)
taken = orders.consume(2, 30)
while len(taken) < 2:
    taken += orders.consume(1, 1)
print(isinstance(taken, list), len(taken), taken[0].value(), [m.offset() for m in taken], taken == list(taken), taken[1:] == list(taken)[1:])
print([m.offset() for m in reversed(taken)], [m.offset() for m in taken + some][:2], copy.copy(taken) == taken)
print(type(pickle.loads(pickle.dumps(taken))).__name__, orders.commit(message=taken[1], asynchronous=False)[0].offset)
print(refused(orders.poll, "x"), refused(orders.consume, -1), sep="\n")
orders.close()
print(refused(orders.poll, 0), refused(orders.consume, 1, 0), sep="\n")
with consumer("orders") as again:
    print(again.poll(30).offset())
print(refused(again.poll, 0))


class Reader(Consumer):
    def __init__(self):
        super().__init__(settings(group_id="own"))
        self.own = 1


print(Reader().own, Reader.__mro__[-2].__name__, inspect.iscoroutinefunction(AIOConsumer.poll), inspect.iscoroutinefunction(AIOProducer.produce))


def work(number):
    if number == 3:
        raise KeyError(number)
    return number + 1


with ThreadPoolExecutor(2) as pool:
    print([pool.submit(work, 1).result(), *pool.map(work, [4, 5])], refused(pool.submit(work, 3).result), refused(pool.submit))


async def main():
    loop = asyncio.get_running_loop()
    print(await asyncio.to_thread(work, 1), await loop.run_in_executor(None, work, 2), await asyncio.gather(asyncio.to_thread(work, 7)))
    future = loop.run_in_executor(None, work, 3)
    try:
        await future
    except KeyError as error:
        print(repr(error), isinstance(future, asyncio.Future), future.done(), repr(future.exception()))
    waiting = loop.run_in_executor(None, threading.Event().wait, 0.2)
    try:
        await asyncio.wait_for(waiting, 0.01)
    except asyncio.TimeoutError:
        print("timed out", waiting.cancelled())
    task = asyncio.create_task(asyncio.sleep(0, "slept"), name="sleeper")
    print(task.get_name(), await task)


asyncio.run(main())


class Worker(threading.Thread):
    def run(self):
        print(self.name)


worker = Worker(name="own")
worker.start()
worker.join()
print(refused(worker.start), "run" in vars(worker))
print([folder for folder in sys.path if "tracer" in folder])
