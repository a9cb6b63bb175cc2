"""Consumes 10,000 orders, as many at a time as come, and sends a payment of each, later, to the partition that is the rest of its
number by 100: from tasks, threads of a pool, and lists."""

import asyncio
import random
import sys
from concurrent.futures import ThreadPoolExecutor

from clients import consumer, producer

ORDERS = int(sys.argv[1])
orders, payments = consumer("orders"), producer()
pool = ThreadPoolExecutor(4)


def pay(order):
    payments.produce("payments", b"paid", partition=order.offset() % 100)
    payments.poll(0)


async def handle(order):
    for _ in range(random.randrange(3)):
        await asyncio.sleep(random.random() / 50)
    way = order.offset() % 4
    if way == 0:
        pay(order)
    elif way == 1:
        await asyncio.to_thread(pay, order)
    elif way == 2:
        await asyncio.get_running_loop().run_in_executor(pool, pay, order)
    else:
        await asyncio.gather(asyncio.sleep(0), asyncio.ensure_future(later(order)))


async def later(order):
    await asyncio.sleep(0.001)
    pay(order)


async def main():
    tasks, taken = set(), 0
    while taken < ORDERS:
        if taken % 500 < 250:
            order = orders.poll(0) or await asyncio.to_thread(orders.poll, 1)
            several = [order] if order is not None else []
        else:
            several = orders.consume(10, 0.1)
        for order in several:
            taken += 1
            task = asyncio.create_task(handle(order))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        while len(tasks) > 200:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)


asyncio.run(main())
assert payments.flush(60) == 0
orders.close()
