"""Does each thing that the layer follows often enough to see whether something of it stays: prints what does."""

import collections
import gc
import queue
import sys

from clients import consumer, producer

from tracer_interceptors import _processing

OFTEN = 300
orders, payments = consumer("orders"), producer()


def sink():
    assert orders.poll(30).error() is None


def loop():
    order = orders.poll(30)
    payments.produce("payments", b"paid " + order.value(), partition=0)


def reported():
    order = orders.poll(30)
    payments.produce("payments", order.value(), partition=0, on_delivery=report)
    payments.flush(30)


def report(error, message):
    assert error is None


def refused():
    orders.poll(30)
    for call in (lambda: payments.produce(), lambda: payments.produce("payments", 5), lambda: orders.poll("x")):
        try:
            call()
        except TypeError:
            continue
        raise AssertionError("not refused")


def two():
    assert orders.poll(30) is not None
    assert orders.poll(30) is not None


def kept():
    waiting.append(orders.poll(30))
    if len(waiting) > 5:
        waiting.clear()


def thrown_away():
    latest.put(orders.poll(30))


class Latest(queue.Queue):
    """Has the last one only."""

    def _init(self, maxsize):
        self.queue = collections.deque(maxlen=1)


waiting, latest = [], Latest()


def state():
    gc.collect()
    processings = sum(isinstance(one, _processing.Processing) for one in gc.get_objects())
    references = [sys.getrefcount(one) for one in (type(orders), orders, payments, _processing.Processing, report)]
    return sys.getallocatedblocks(), processings, references


for shape in (sink, loop, reported, refused, two, kept, thrown_away):
    for _ in range(OFTEN // 3):
        shape()
    payments.flush(30)
    before = state()
    for _ in range(OFTEN):
        shape()
    payments.flush(30)
    after = state()
    # The last message or two may be there still, and what Python itself keeps ready.
    grown = [now - then for now, then in zip(after[2], before[2])]
    if after[0] - before[0] > OFTEN // 2 or after[1] > 9 or max(map(abs, grown)) > 9:
        print(shape.__name__, before, after)
del waiting
orders.close()
