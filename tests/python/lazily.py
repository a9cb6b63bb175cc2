"""Consumes ten orders and sends a payment of each, to the partition with the order's number, in the shape that is named: something is
started in the course of one message, and given something, that may serve later messages too; and the same where it does not."""

import asyncio
import collections
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from clients import consumer, producer

ORDERS = 10
shape = sys.argv[1]
orders, payments = consumer("orders"), producer()


def order():
    """The next one as the program has it, from which nothing leads back to the message."""
    return {"number": int(orders.poll(30).value().split()[-1])}


def pay(one):
    payments.produce("payments", b"paid", partition=one["number"])


async def next_order():
    return await asyncio.to_thread(order)


class Waiting:
    """Work that waits in a way of the program's own."""

    def __init__(self):
        self.items, self.changed = collections.deque(), threading.Condition()

    def put(self, one):
        with self.changed:
            self.items.append(one)
            self.changed.notify()

    def next(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            return self.items.popleft()


def thread_with_a_list(*args, audit=False, pause=0.001):
    """`args` is what the thread is given."""
    waiting, workers = collections.deque(), []
    changed = threading.Condition()

    def work(*_):
        while True:
            with changed:
                while not waiting:
                    changed.wait()
                one = waiting.popleft()
            if one is None:
                return
            pay(one)

    for number in range(ORDERS + 1):
        one = order() if number < ORDERS else None
        if audit and one:
            payments.produce("audit", b"seen")
        with changed:
            waiting.append(one)
            changed.notify()
        if not workers:
            workers.append(threading.Thread(target=work, args=args))
            workers[0].start()
        time.sleep(pause)
    workers[0].join()


def thread_that_is_given_nothing():
    thread_with_a_list()


def thread_that_is_given_a_name():
    thread_with_a_list("europe")


def thread_that_is_given_a_number_in_a_hurry():
    thread_with_a_list(1, pause=0)


def thread_beside_what_the_loop_sends():
    thread_with_a_list("europe", audit=True)


def thread_of_nothing_beside_what_the_loop_sends():
    thread_with_a_list(audit=True)


def thread_that_is_given_the_first_one(what=order):
    waiting, workers = Waiting(), []

    def work(one):
        while one is not None:
            pay(one if isinstance(one, dict) else {"number": int(one.value().split()[-1])})
            one = waiting.next()

    for _ in range(ORDERS):
        one = what()
        if workers:
            waiting.put(one)
        else:
            workers.append(threading.Thread(target=work, args=(one,)))
            workers[0].start()
        time.sleep(0.001)
    del one
    waiting.put(None)
    workers[0].join()


def thread_that_is_given_the_first_message():
    thread_that_is_given_the_first_one(lambda: orders.poll(30))


def actors():
    """A thread for each key, with what waits for it."""

    class Actor(Waiting):
        def __init__(self, key):
            super().__init__()
            self.thread = threading.Thread(target=self.run, args=(key,))
            self.thread.start()

        def run(self, key):
            one = self.next()
            while one is not None:
                pay(one)
                one = self.next()

    by_key = {}
    for _ in range(ORDERS):
        one = order()
        key = one["number"] % 2
        if key not in by_key:
            by_key[key] = Actor(key)
        by_key[key].put(one)
        time.sleep(0.001)
    for actor in by_key.values():
        actor.put(None)
        actor.thread.join()


def job_that_loops():
    waiting = Waiting()

    def work(region):
        one = waiting.next()
        while one is not None:
            pay(one)
            one = waiting.next()

    with ThreadPoolExecutor(1) as pool:
        for number in range(ORDERS):
            waiting.put(order())
            if not number:
                pool.submit(work, "europe")
            time.sleep(0.001)
        waiting.put(None)


def greenlet_with_a_queue():
    import gevent
    import gevent.queue

    waiting = gevent.queue.Queue()

    def work(region):
        for one in waiting:
            gevent.sleep(0.001)
            pay(one)

    worker = None
    for _ in range(ORDERS):
        waiting.put(order())
        worker = worker or gevent.spawn(work, "europe")
        gevent.sleep(0.002)
    waiting.put(StopIteration)
    worker.join()


def stream_of_anyio(backend="asyncio"):
    import anyio

    async def main():
        put, take = anyio.create_memory_object_stream(100)

        async def work(region):
            async for one in take:
                pay(one)

        async with anyio.create_task_group() as group:
            for number in range(ORDERS):
                await put.send(order())
                if not number:
                    group.start_soon(work, "europe")
                await anyio.sleep(0.001)
            await put.aclose()

    anyio.run(main, backend=backend)


def stream_of_anyio_on_trio():
    stream_of_anyio("trio")


def channel_of_trio():
    import trio

    async def main():
        put, take = trio.open_memory_channel(100)

        async def work(region):
            async for one in take:
                await trio.sleep(0.001)
                pay(one)

        async with trio.open_nursery() as nursery:
            for number in range(ORDERS):
                one = await trio.to_thread.run_sync(order)
                if not number:
                    nursery.start_soon(work, "europe")
                await put.send(one)
            await put.aclose()

    trio.run(main)


def task_that_starts_tasks():
    async def main():
        items, there, tasks = [], asyncio.Event(), []

        async def handle(one):
            await asyncio.sleep(0.002)
            pay(one)

        async def work(region):
            while len(tasks) < ORDERS:
                await there.wait()
                there.clear()
                while items:
                    tasks.append(asyncio.create_task(handle(items.pop(0))))

        worker = None
        for _ in range(ORDERS):
            items.append(await next_order())
            there.set()
            worker = worker or asyncio.create_task(work("europe"))
        await worker
        await asyncio.gather(*tasks)

    asyncio.run(main())


def flushes(flush_of):
    """The first of a key begins what sends, a while later, what came till then."""

    async def main():
        by_key, tasks = {}, []
        flush = flush_of(by_key)
        for _ in range(ORDERS):
            one = await next_order()
            key = one["number"] % 2
            if key not in by_key:
                tasks.append(asyncio.create_task(flush(key)))
            by_key.setdefault(key, []).append(one)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def batch_of_a_key():
    def flush_of(by_key):
        async def flush(key):
            await asyncio.sleep(0.01)
            for one in by_key.pop(key):
                pay(one)

        return flush

    flushes(flush_of)


def latest_of_a_key():
    def flush_of(by_key):
        async def flush(key):
            await asyncio.sleep(0.01)
            pay(by_key.pop(key)[-1])

        return flush

    flushes(flush_of)


def latest_of_a_key_by_a_function():
    def flush_of(by_key):
        def take(key):
            return by_key.pop(key)[-1]

        async def flush(key):
            await asyncio.sleep(0.01)
            pay(take(key))

        return flush

    flushes(flush_of)


# Each message is given to something, and the last of some sends for all of them.


def full_batches(begin, is_full=4):
    """Gives each order to what is begun with it; that puts it to the others, and sends them when there are enough."""
    waiting, lock = [], threading.Lock()

    def flush():
        for one in waiting:
            pay(one)
        waiting.clear()

    def add(one):
        with lock:
            waiting.append({**one})
            if len(waiting) == is_full:
                flush()

    for _ in range(ORDERS):
        begin(add, order())
    return flush


def full_batch_in_jobs():
    with ThreadPoolExecutor(1) as pool:
        full_batches(lambda add, one: pool.submit(add, one).result())()


def joined(thread):
    thread.start()
    thread.join()


def full_batch_in_threads():
    full_batches(lambda add, one: joined(threading.Thread(target=add, args=(one,))))()


def full_batches_in_a_loop(begin):
    async def main():
        loop, done = asyncio.get_running_loop(), []

        def add_of(add):
            def added(one):
                add(one)
                done.append(one)

            return added

        flush = await asyncio.to_thread(full_batches, lambda add, one: begin(loop, add_of(add), one))
        while len(done) < ORDERS:
            await asyncio.sleep(0.01)
        flush()

    asyncio.run(main())


def full_batch_by_call_soon_threadsafe():
    full_batches_in_a_loop(lambda loop, add, one: loop.call_soon_threadsafe(add, one))


def in_a_loop(begin_of, is_full=4):
    """The same, begun by the loop's own code."""

    async def main():
        waiting, tasks, done = [], [], []

        def flush(number, of):
            for one in of:
                pay({"number": one["number"], "with": number})
            of.clear()

        def add(one):
            waiting.append({**one})
            if len(waiting) == is_full:
                flush(one["number"], waiting)
            done.append(one)

        begin = begin_of(add)
        for _ in range(ORDERS):
            tasks.append(begin(await next_order()))
        while len(done) < ORDERS:
            await asyncio.sleep(0.01)
        flush(0, waiting)

    asyncio.run(main())


def full_batch_by_call_soon():
    in_a_loop(lambda add: lambda one: asyncio.get_running_loop().call_soon(add, one))


def full_batch_by_call_later():
    in_a_loop(lambda add: lambda one: asyncio.get_running_loop().call_later(0.01, add, one))


def full_batch_in_tasks():
    def begin_of(add):
        async def added(one):
            await asyncio.sleep(0.01)
            add(one)

        return lambda one: asyncio.create_task(added(one))

    in_a_loop(begin_of)


class Batch:
    """Of an object that knows the others by itself, and sends them one by one or, with the newest's number, all at once."""

    def __init__(self):
        self.items, self.lock = [], threading.Lock()

    async def handle(self, one):
        with self.lock:
            self.items.append(one["number"])
            if len(self.items) == 4:
                await self.flush(str(one["number"]), self.items)

    async def flush(self, name, items):
        while items:
            payments.produce("payments", name, partition=items.pop())


def full_batch_of_an_object():
    async def main():
        batch = Batch()
        await asyncio.gather(*[asyncio.create_task(batch.handle(await next_order())) for _ in range(ORDERS)])
        await batch.flush("", batch.items)

    asyncio.run(main())


# What is known all the same.


def one_by_one(handle):
    """A task for each, and no order in between that nothing was started for."""

    async def main():
        for _ in range(ORDERS):
            await asyncio.create_task(handle((await next_order())["number"]))

    asyncio.run(main())


customers = {number: f"customer {number}" for number in range(ORDERS)}


def tasks_that_look_something_up():
    async def handle(number):
        await asyncio.sleep(0.002)
        customer = customers[number]
        pay({"number": number, "customer": customer})

    one_by_one(handle)


def tasks_that_send_parts_with_what_they_look_up():
    async def fetch(number):
        await asyncio.sleep(0.002)
        return {"parts": [number, number]}

    async def handle(number):
        for part in (await fetch(number))["parts"]:
            pay({"number": part, "customer": customers[part]})

    one_by_one(handle)


def tasks_that_send_parts_in_tasks():
    async def send(part):
        await asyncio.sleep(0.002)
        pay({"number": part})

    async def handle(number):
        await asyncio.gather(*(send(part) for part in (number, number)))

    tasks(handle)


def jobs_that_send_with_a_number_of_their_own():
    totals = {}

    def handle(number):
        totals[number] = totals.get(number, 0) + 1
        pay({"number": number, "total": totals[number]})

    with ThreadPoolExecutor(2) as pool:
        for _ in range(ORDERS):
            pool.submit(handle, order()["number"]).result()


def threads_with_queues_by_key():
    by_key, workers = {}, []

    def work(key):
        for one in iter(by_key[key].get, None):
            time.sleep(0.002)
            pay(one)

    for _ in range(ORDERS):
        one = order()
        key = one["number"] % 3
        if key not in by_key:
            by_key[key] = queue.Queue()
            workers.append(threading.Thread(target=work, args=(key,)))
            workers[-1].start()
        by_key[key].put(one)
    for waiting in by_key.values():
        waiting.put(None)
    for worker in workers:
        worker.join()


def tasks_with_queues_by_key():
    async def main():
        by_key, tasks = {}, []

        async def work(key):
            while True:
                one = await by_key[key].get()
                if one is None:
                    return
                await asyncio.sleep(0.002)
                pay(one)

        for _ in range(ORDERS):
            one = await next_order()
            key = one["number"] % 3
            if key not in by_key:
                by_key[key] = asyncio.Queue()
                tasks.append(asyncio.create_task(work(key)))
            await by_key[key].put(one)
        for waiting in by_key.values():
            waiting.put_nowait(None)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def tasks(handle, wanted=lambda one: True):
    async def main():
        started = []
        for _ in range(ORDERS):
            one = await next_order()
            if wanted(one):
                started.append(asyncio.create_task(handle(one["number"])))
        await asyncio.gather(*started)

    asyncio.run(main())


def is_odd(one):
    return one["number"] % 2


def tasks_of_some():
    async def fetch(number):
        await asyncio.sleep(0.002)
        return {"number": number}

    async def handle(number):
        row = await fetch(number)
        pay(row)

    tasks(handle, is_odd)


def tasks_of_some_that_send_twice():
    async def handle(number):
        for _ in range(2):
            await asyncio.sleep(0.002)
            pay({"number": number})

    tasks(handle, is_odd)


def tasks_that_try_again():
    async def handle(number):
        tries = 0
        while tries < 2:
            await asyncio.sleep(0.002)
            tries += 1
            if tries == 2:
                pay({"number": number})

    tasks(handle)


if __name__ == "__main__":
    globals()[shape]()
    assert payments.flush(30) == 0
    orders.close()
