"""Works on an order for 0.3 seconds in each of several ways, and waits idly for a second after each."""

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tracer_interceptors import processing

from clients import consumer, next_message

orders = consumer("orders")


def nothing_comes():
    """The consumer's next call, which finds nothing."""
    orders.pause(orders.assignment())
    assert orders.poll(0) is None
    orders.resume(orders.assignment())


def work():
    time.sleep(0.3)


# 0: the loop itself.
next_message(orders)
work()
nothing_comes()
time.sleep(1)


async def read():
    # 1: a task, while its consumer polls on.
    async def handle(order):
        await asyncio.sleep(0.3)

    task = asyncio.create_task(handle(next_message(orders)))
    nothing_comes()
    await task
    del task
    await asyncio.sleep(1)


asyncio.run(read())
with ThreadPoolExecutor(1) as pool:
    # 2: a job of a pool.
    next_message(orders)
    pool.submit(work)
    nothing_comes()
    time.sleep(1)
# 3: the helper.
with processing(next_message(orders)):
    work()
time.sleep(1)
# 4 and on: a list.
some = [next_message(orders) for _ in range(6)]
time.sleep(1)
assert len(some) == 6 and sys.argv[1] == "all"
orders.close()
