"""Consumes ten orders and sends a payment of each, to the partition with the order's number, in the shape that is named: shapes in
which the parent is known exactly with the layer, and cannot be guessed without."""

import asyncio
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, DeserializingConsumer, SerializingProducer, TopicPartition
from confluent_kafka.serialization import StringDeserializer, StringSerializer

from clients import consumer, producer, settings

ORDERS = 10
shape = sys.argv[1]
orders, payments = consumer("orders"), producer()


def number(order):
    return int(order.value().split()[-1])


def pay(order, value=None, by=payments):
    by.produce("payments", value or b"paid " + order.value(), partition=number(order))


def next_order(timeout=30):
    return orders.poll(timeout)


def taken():
    return [next_order() for _ in range(ORDERS)]


def list_passes_values_on():
    for order in taken():
        pay(order, order.value())


def list_passes_keys_on():
    for order in taken():
        n = number(order)
        payments.produce("payments", b"paid", key=order.key(), partition=n)


def list_with_idle_polls():
    kept = []
    while len(kept) < ORDERS:
        # None comes in between.
        order = next_order(0 if len(kept) % 2 else 0.02)
        if order is not None:
            kept.append(order)
    for order in kept:
        pay(order)


def list_in_tasks_of_numbers():
    async def handle(n):
        await asyncio.sleep(0.02)
        payments.produce("payments", b"paid", partition=n)

    async def main():
        await asyncio.gather(*[handle(n) for n in [number(order) for order in taken()]])

    asyncio.run(main())


def list_to_tasks():
    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    async def main():
        await asyncio.gather(*[handle(order) for order in taken()])

    asyncio.run(main())


def list_to_pool():
    with ThreadPoolExecutor(3) as workers:
        list(workers.map(pay, taken()))


def list_to_threads():
    threads = [threading.Thread(target=pay, args=(order,)) for order in taken()]
    for thread in threads:
        thread.start()
        thread.join()


def list_to_greenlets():
    import gevent

    def handle(order):
        gevent.sleep(0.02)
        pay(order)

    gevent.joinall([gevent.spawn(handle, order) for order in taken()])


def list_with_the_helper():
    from tracer_interceptors import processing

    for order in taken():
        with processing(order):
            pay(order)


def list_with_the_async_helper():
    from tracer_interceptors import processing

    async def handle(order):
        async with processing(order):
            await asyncio.sleep(0.02)
            pay(order)

    async def main():
        for order in taken():
            waiting.append(order)
        await asyncio.gather(*[handle_number(n) for n in range(ORDERS)])

    waiting = []

    async def handle_number(n):
        # Nothing that it is started with is the message.
        await handle(waiting[n])

    asyncio.run(main())


def queue_passes_values_on():
    waiting = queue.Queue()

    def work():
        while True:
            order = waiting.get()
            if order is None:
                return
            pay(order, order.value())

    worker = threading.Thread(target=work)
    worker.start()
    for order in taken():
        waiting.put(order)
    waiting.put(None)
    worker.join()


def filter_to_tasks():
    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    async def main():
        tasks = []
        for _ in range(ORDERS):
            order = next_order()
            if number(order) % 2:
                tasks.append(asyncio.create_task(handle(order)))
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def quiet_tasks():
    """Every other order's task sends nothing, and has ended before the next poll."""

    async def handle(order):
        if number(order) % 2:
            pay(order)

    async def main():
        for _ in range(ORDERS):
            await asyncio.create_task(handle(next_order()))

    asyncio.run(main())


def executor():
    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    async def main():
        loop, tasks = asyncio.get_running_loop(), []
        for _ in range(ORDERS):
            order = await loop.run_in_executor(None, next_order, 30)
            tasks.append(asyncio.create_task(handle(order)))
        await asyncio.gather(*tasks)

    asyncio.run(main())


def executor_sends_for_others():
    """A pool's thread that was handed an order sends for somebody else next: that follows from nothing."""

    async def main():
        loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1)
        other, asked = asyncio.Event(), asyncio.Event()

        async def heartbeat():
            for n in range(ORDERS):
                await asked.wait()
                asked.clear()
                await loop.run_in_executor(pool, lambda n=n: payments.produce("payments", b"alive", partition=n))
                other.set()

        beating = asyncio.create_task(heartbeat())
        for _ in range(ORDERS):
            await loop.run_in_executor(pool, next_order, 30)
            asked.set()
            await other.wait()
            other.clear()
        await beating
        pool.shutdown()

    asyncio.run(main())


def consume_loop():
    done = 0
    while done < ORDERS:
        for order in orders.consume(4, 0.5):
            done += 1
            time.sleep(0.01)
            pay(order)


def batch_worked_off_late():
    for order in orders.consume(ORDERS, 30):
        if number(order) == 5:
            # The spans of the deliveries have left by then.
            time.sleep(3)
        pay(order)


def handed_over_late():
    from tracer_interceptors import _clients, _processing

    order = orders.consume(2, 30)[0]
    # As where a thread that polls gets no turn for so long: the span of the delivery has left.
    time.sleep(3)
    _processing.handed(order, _clients.habits_of(orders))
    payments.produce("payments", order.value())


def consume_to_tasks():
    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    async def main():
        tasks = []
        while len(tasks) < ORDERS:
            for order in orders.consume(4, 0.5):
                tasks.append(asyncio.create_task(handle(order)))
        await asyncio.gather(*tasks)

    asyncio.run(main())


def with_aio(batch_size, work):
    """Runs ``work(reader, writer)`` with clients of asyncio's."""
    from confluent_kafka.aio import AIOConsumer, AIOProducer

    async def main():
        reader = AIOConsumer(settings(group_id="aio"))
        await reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
        writer = AIOProducer(settings(), batch_size=batch_size)
        await work(reader, writer)
        await writer.flush()
        await writer.close()
        await reader.close()

    asyncio.run(main())


async def pay_by(writer, order):
    await writer.produce("payments", b"paid " + order.value(), partition=number(order))


def aio():
    async def work(reader, writer):
        async def handle(order):
            await asyncio.sleep(0.02)
            await pay_by(writer, order)

        tasks = []
        for _ in range(ORDERS):
            tasks.append(asyncio.create_task(handle(await reader.poll(30))))
        await asyncio.gather(*tasks)

    with_aio(4, work)


def aio_loop():
    """One task reads, works and sends; the buffer holds several at a time."""

    async def work(reader, writer):
        for _ in range(ORDERS):
            order = await reader.poll(30)
            await pay_by(writer, order)

    with_aio(100, work)


def aio_batches():
    async def work(reader, writer):
        done = 0
        while done < ORDERS:
            for order in await reader.consume(4, 0.5):
                done += 1
                await pay_by(writer, order)

    with_aio(100, work)


def serializing():
    reader = DeserializingConsumer(settings(group_id="s") | {"value.deserializer": StringDeserializer()})
    reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    writer = SerializingProducer(settings() | {"value.serializer": StringSerializer()})
    for _ in range(ORDERS):
        order = reader.poll(30)
        writer.produce("payments", value="paid " + order.value(), partition=number(order))
    writer.flush()
    reader.close()


def subclass():
    class Reader(confluent_kafka.Consumer):
        def __init__(self, settings):
            self.seen = 0
            super().__init__(settings)

        def poll(self, timeout=-1):
            self.seen += 1
            return super().poll(timeout)

    class Writer(confluent_kafka.Producer):
        def produce(self, topic, **more):
            return super().produce(topic, **more)

    reader, writer = Reader(settings(group_id="sub")), Writer(settings())
    reader.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    for _ in range(ORDERS):
        order = reader.poll(30)
        writer.produce("payments", value=order.value() + b"!", partition=number(order))
    assert reader.seen == ORDERS
    writer.flush()
    reader.close()


def batch():
    for _ in range(ORDERS):
        order = next_order()
        payments.produce_batch("payments", [{"value": b"paid"}, {"value": b"receipt"}], partition=number(order))


def report_passes_on():
    """A delivery report sends the next stage of the order that it reports, in the course of a later order."""
    for _ in range(ORDERS):
        order = next_order()
        n = number(order)
        payments.produce(
            "payments",
            b"paid",
            partition=n,
            on_delivery=lambda error, report, n=n: payments.produce("payments", b"receipt", partition=n),
        )
        time.sleep(0.05)
        payments.poll(0)
    payments.flush(30)


def own_orders():
    """The orders are the program's own, sent by the very task that works them off."""

    async def handle(order):
        await asyncio.sleep(0.02)
        pay(order)

    async def main():
        # Those that were there before are nobody's business.
        for _ in range(ORDERS):
            next_order()
        for n in range(ORDERS):
            payments.produce("orders", b"order %d" % n, partition=0)
        payments.flush(30)
        tasks = []
        for _ in range(ORDERS):
            tasks.append(asyncio.create_task(handle(next_order())))
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def request_reply():
    """Asks a server, by one thread, and waits for the answer, again and again."""
    ended = threading.Event()

    def serve():
        requests, answers = consumer("requests"), producer()
        while not ended.is_set():
            request = requests.poll(0.1)
            if request is not None:
                answers.produce("replies", request.value(), partition=0)
                answers.flush(30)
        requests.close()

    server = threading.Thread(target=serve)
    server.start()
    replies = consumer("replies")
    for n in range(ORDERS):
        payments.produce("requests", b"request %d" % n, partition=0)
        payments.flush(30)
        assert replies.poll(30).value() == b"request %d" % n
    ended.set()
    server.join()
    replies.close()


def request_reply_in_tasks():
    """The same by a task, whose calls are made by threads of a pool."""
    ended = threading.Event()

    def serve():
        requests, answers = consumer("requests"), producer()
        while not ended.is_set():
            request = requests.poll(0.1)
            if request is not None:
                answers.produce("replies", request.value(), partition=0)
                answers.flush(30)
        requests.close()

    async def main():
        replies = consumer("replies")
        for n in range(ORDERS):
            await asyncio.to_thread(payments.produce, "requests", b"request %d" % n, partition=0)
            await asyncio.to_thread(payments.flush, 30)
            assert (await asyncio.to_thread(replies.poll, 30)).value() == b"request %d" % n
        replies.close()

    server = threading.Thread(target=serve)
    server.start()
    asyncio.run(main())
    ended.set()
    server.join()


def read_once():
    """One message at the start, then sends for ever: those of the first two seconds may be taken to follow from it."""
    next_order()
    time.sleep(2.1)
    for n in range(ORDERS):
        payments.produce("payments", b"measured", partition=n)


def slow_loop():
    """Each order takes as long as a consumer may take."""
    for _ in range(ORDERS):
        order = next_order()
        made_old(290)
        pay(order)


def slow_tasks():
    """The same in tasks that ask by a pool's thread."""

    async def main():
        for _ in range(ORDERS):
            order = await asyncio.to_thread(next_order)
            made_old(70)
            await asyncio.sleep(0)
            pay(order)

    asyncio.run(main())


def slow_and_then_quick():
    """Only one takes long, and others before it did not."""
    for n in range(ORDERS):
        order = next_order()
        made_old(70 if n == 5 else 0.1)
        pay(order)


def made_old(seconds):
    """As if the order had been at work on for so long."""
    from tracer_interceptors import _processing

    _processing.current.get().since -= seconds


def read_until_there():
    """Settings that are asked for until they are there, and sends in the same loop for ever."""
    settings, n = None, 0
    while n < ORDERS:
        if settings is None:
            settings = next_order()
            made_old(3)
        payments.produce("payments", b"measured", partition=n)
        payments.poll(0)
        n += 1


def sender_that_began_with_a_message():
    """A thread that is started in the course of the first order has an own life, which that order may not be the cause of."""
    waiting = queue.Queue()

    def send():
        for order in iter(waiting.get, None):
            pay(order, order.value())

    sender = threading.Thread(target=send)
    for _ in range(ORDERS):
        order = next_order()
        if not sender.is_alive():
            sender.start()
        waiting.put(order)
    waiting.put(None)
    sender.join()


def after_the_last():
    """Long after the last order the program sends something else, again and again."""
    for _ in range(ORDERS):
        pay(next_order())
    assert orders.poll(0) is None
    for n in range(ORDERS):
        payments.produce("payments", b"alive", partition=n)


if __name__ == "__main__":
    globals()[shape]()
    assert payments.flush(30) == 0
    orders.close()
