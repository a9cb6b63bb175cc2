"""Consumes ten orders and sends a payment of each, to the partition with the order's number, in the shape that is named."""

import importlib.util
import sys
import time

from clients import consumer, next_message, producer, settings
from confluent_kafka import Consumer, TopicPartition

ORDERS = 10
shape = sys.argv[1]
orders, payments = consumer("orders"), producer()


def pay(number, value=b"paid", **more):
    payments.produce("payments", value, partition=number, **more)


def next_order(timeout=30):
    """The number of the next order; None when there is none within the time."""
    order = orders.poll(timeout)
    return None if order is None else order.offset()


def loop():
    for _ in range(ORDERS):
        pay(next_order())


def consumer_each():
    """One after the other, each closed before the next is made: more than a thread's habits have places for."""
    for number in range(ORDERS):
        its = Consumer(settings(group_id="readers of one order"))
        its.assign([TopicPartition("orders", 0, number)])
        pay(next_message(its).offset())
        its.close()


def filter():
    for _ in range(ORDERS):
        order = next_order()
        if order % 2:
            pay(order)


def fan_out():
    for _ in range(ORDERS):
        order = next_order()
        pay(order)
        pay(order, b"receipt")


def list_then_work():
    for order in [next_order() for _ in range(ORDERS)]:
        pay(order)


def consume_many():
    taken = []
    while len(taken) < ORDERS:
        taken += [order.offset() for order in orders.consume(ORDERS - len(taken), 30)]
    for order in taken:
        pay(order)


def batch_then_singles():
    """What was taken by one call is worked off while there is no message at hand; the rest comes one by one."""
    taken = []
    while len(taken) < ORDERS // 2:
        taken += [order.offset() for order in orders.consume(ORDERS // 2 - len(taken), 30)]
    for order in taken:
        pay(order)
    while len(taken) < ORDERS:
        taken.append(next_order())
        pay(taken[-2])


def pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as workers:
        for _ in range(ORDERS):
            workers.submit(pay, next_order())


async def in_tasks():
    """Takes order after order, and pays each in a task of its own, a little later."""
    import asyncio

    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    tasks = []
    while len(tasks) < ORDERS:
        order = next_order(0)
        if order is not None:
            tasks.append(asyncio.create_task(handle(order)))
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)


def tasks():
    import asyncio

    asyncio.run(in_tasks())


def tasks_without_epoll():
    """A loop that waits by select, for a pair of sockets of its own by which other threads wake it."""
    import asyncio
    import selectors

    asyncio.SelectorEventLoop(selectors.SelectSelector()).run_until_complete(in_tasks())


def to_thread():
    import asyncio

    async def handle(order):
        await asyncio.sleep(0.02)
        await asyncio.to_thread(pay, order)

    async def main():
        tasks = [asyncio.create_task(handle(await asyncio.to_thread(next_order))) for _ in range(ORDERS)]
        await asyncio.gather(*tasks)

    asyncio.run(main())


def uvicorn():
    import asyncio

    import uvicorn

    async def application(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def main():
        server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="critical", loop="uvloop"))
        serving = asyncio.create_task(server.serve())
        await in_tasks()
        server.should_exit = True
        await serving

    import uvloop

    uvloop.run(main())


def green(spawn, sleep):
    """Takes order after order, and pays each in a greenlet of its own, a little later."""

    def handle(order):
        sleep(0.02)
        pay(order)

    started = []
    while len(started) < ORDERS:
        order = next_order(0)
        if order is not None:
            started.append(spawn(handle, order))
        sleep(0.005)
    return started


def gevent():
    # Asked for first, as many do.
    assert importlib.util.find_spec("gevent") and importlib.util.find_spec("gevent.threadpool")
    import gevent

    gevent.joinall(green(gevent.spawn, gevent.sleep))


def eventlet():
    import warnings

    warnings.simplefilter("ignore")  # It says that it is deprecated.
    import eventlet

    for started in green(eventlet.spawn, eventlet.sleep):
        started.wait()


def greenlets():
    """They take turns without any loop: two take an order each, and then each pays its own."""
    import greenlet

    def handle():
        order = next_order()
        greenlet.getcurrent().parent.switch()
        pay(order)

    for _ in range(ORDERS // 2):
        pair = [greenlet.greenlet(handle) for _ in range(2)]
        for turn in pair + pair:
            turn.switch()


def request_reply():
    """Asks and waits for the answer, which is its own message come back, again and again."""
    answers = consumer("payments", ORDERS)
    for number in range(ORDERS):
        pay(number)
        payments.flush(30)
        answer = answers.poll(30)
        assert answer.partition() == number
    answers.close()


def read_once():
    next_order()
    for number in range(ORDERS):
        pay(number)
        time.sleep(0.5)


def report():
    """Each delivery report sends an order's second payment, in the course of a later order."""

    def again(error, payment):
        if payment.value() == b"paid":
            pay(payment.partition(), b"receipt")

    for _ in range(ORDERS):
        order = next_order()
        pay(order, on_delivery=again)
        time.sleep(0.05)
        payments.poll(0)
    payments.flush(30)


globals()[shape]()
assert payments.flush(30) == 0
orders.close()
