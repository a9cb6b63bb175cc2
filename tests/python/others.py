"""Consumes ten orders and sends a payment of each, to the partition with the order's number, in the shape that is named: shapes in
which the code of one message sends for others."""

import asyncio
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from clients import consumer, producer

ORDERS = 10
shape = sys.argv[1]
orders, payments = consumer("orders"), producer()


def order():
    """The next one as the program has it, from which nothing leads back to the message."""
    return {"number": int(orders.poll(30).value().split()[-1])}


def pay(one):
    payments.produce("payments", b"paid", partition=one["number"])


def numbered(message):
    return {"number": int(message.value().split()[-1])}


# Work that waits in a queue.


def worker_threads(first, lazily=False):
    waiting, workers = queue.Queue(first), []

    def work():
        for one in iter(waiting.get, None):
            time.sleep(0.002)
            pay(one)

    for number in range(ORDERS):
        if not lazily and not number:
            workers = [threading.Thread(target=work) for _ in range(3)]
        waiting.put(order())
        if lazily and len(workers) < 3:
            workers.append(threading.Thread(target=work))
        for worker in workers:
            if worker.ident is None:
                worker.start()
        time.sleep(0.001)
    for _ in workers:
        waiting.put(None)
    for worker in workers:
        worker.join()


def queue_to_threads():
    worker_threads(100)


def queue_to_threads_that_wait():
    worker_threads(1)


def queue_to_threads_that_begin_with_a_message():
    worker_threads(100, lazily=True)


def worker_tasks(lazily):
    async def main():
        waiting, workers = asyncio.Queue(), []

        async def work(name, waiting):
            while True:
                one = await waiting.get()
                await asyncio.sleep(0.002)
                pay(one)
                waiting.task_done()

        def begin():
            workers.append(asyncio.create_task(work(f"worker {len(workers)}", waiting)))

        for _ in range(0 if lazily else 3):
            begin()
        for _ in range(ORDERS):
            waiting.put_nowait(order())
            if len(workers) < 3:
                begin()
            await asyncio.sleep(0.001)
        await waiting.join()
        for worker in workers:
            worker.cancel()

    asyncio.run(main())


def queue_to_tasks():
    worker_tasks(lazily=False)


def queue_to_tasks_that_begin_with_a_message():
    worker_tasks(lazily=True)


def thread_to_tasks_of_a_loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    waiting, done = asyncio.Queue(), threading.Event()

    async def work():
        for _ in range(ORDERS):
            pay(await waiting.get())
        done.set()

    asyncio.run_coroutine_threadsafe(work(), loop)
    for _ in range(ORDERS):
        loop.call_soon_threadsafe(waiting.put_nowait, order())
    done.wait(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def queue_of_connections():
    """What a program takes from a queue and puts back is none of its work."""
    pool = queue.Queue()
    for number in range(2):
        pool.put(["connection", number])

    def handle(one):
        connection = pool.get()
        time.sleep(0.002)
        pool.put(connection)
        pay(one)

    with ThreadPoolExecutor(2) as workers:
        for _ in range(ORDERS):
            workers.submit(handle, order())


def connections_of_nobody():
    """The thread that is at no message takes what a job has put back."""
    pool, turn, done = queue.Queue(), threading.Semaphore(0), threading.Semaphore(0)
    pool.put(["connection"])

    def use():
        pool.put(pool.get())

    def beat():
        for number in range(ORDERS):
            turn.acquire()
            connection = pool.get()
            pay({"number": number})
            pool.put(connection)
            done.release()

    beating = threading.Thread(target=beat)
    beating.start()
    with ThreadPoolExecutor(1) as workers:
        for _ in range(ORDERS):
            workers.submit(lambda _: use(), order()).result()
            turn.release()
            done.acquire()
    beating.join()


def connections_that_are_made_when_needed():
    """The same, of one that was made in the course of a message."""
    pool, first = queue.Queue(), order()

    def use():
        try:
            connection = pool.get_nowait()
        except queue.Empty:
            connection = ["connection"]
        pool.put(connection)

    with ThreadPoolExecutor(1) as workers:
        for _ in range(2):
            workers.submit(lambda _: use(), first).result()

    def beat():
        for number in range(ORDERS):
            connection = pool.get()
            pay({"number": number})
            pool.put(connection)

    for _ in range(ORDERS - 1):
        order()
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    beating.join()


def queue_to_a_task_by_wait_for():
    async def main():
        waiting, workers = asyncio.Queue(), []

        async def work(waiting):
            while True:
                pay(await asyncio.wait_for(waiting.get(), 30))

        for _ in range(ORDERS):
            waiting.put_nowait(order())
            if not workers:
                workers.append(asyncio.create_task(work(waiting)))
            await asyncio.sleep(0.005)
        workers[0].cancel()

    asyncio.run(main())


def queue_of_lists():
    waiting = queue.Queue()
    for one in [order() for _ in range(ORDERS)]:
        waiting.put(one)
    waiting.put(None)
    worker = threading.Thread(target=lambda: [pay(one) for one in iter(waiting.get, None)])
    worker.start()
    worker.join()


# A batch that the first of its messages sets the time for.


def batches(begin):
    """Collects for 0.02 s, `begin` says how."""
    waiting, lock = [], threading.Lock()

    def flush():
        with lock:
            for one in waiting:
                pay(one)
            waiting.clear()

    for _ in range(ORDERS):
        one = order()
        with lock:
            waiting.append(one)
            is_first = len(waiting) == 1
        if is_first:
            begin(flush)
        yield
    time.sleep(0.05)


def batch_by_timer():
    for _ in batches(lambda flush: threading.Timer(0.02, flush).start()):
        time.sleep(0.005)


def batch_in_a_loop(begin):
    async def main():
        for _ in batches(begin):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)

    asyncio.run(main())


def batch_by_call_later():
    batch_in_a_loop(lambda flush: asyncio.get_running_loop().call_later(0.02, flush))


def batch_by_task():
    async def later(delay, flush):
        await asyncio.sleep(delay)
        flush()

    batch_in_a_loop(lambda flush: asyncio.create_task(later(0.02, flush)))


def batch_by_greenlet():
    import gevent

    for _ in batches(lambda flush: gevent.spawn_later(0.02, flush)):
        gevent.sleep(0.005)
    gevent.sleep(0.05)


# Work of earlier messages in the round of a later one.


def window():
    last = None
    for _ in range(ORDERS):
        message = orders.poll(30)
        if last is not None:
            pay(numbered(last))
        last = message
    pay(numbered(last))


def window_of_what_is_made_of_them():
    last = None
    for _ in range(ORDERS):
        one = order()
        if last is not None:
            pay(last)
        last = one


def window_of_an_object():
    class Window:
        last = None

        def push(self, message):
            last, self.last = self.last, message
            return last

    waiting = Window()
    for _ in range(ORDERS):
        message = waiting.push(orders.poll(30))
        if message:
            pay(numbered(message))


def generator_that_looks_ahead():
    def stream():
        last = orders.poll(30)
        for _ in range(ORDERS - 1):
            message = orders.poll(30)
            yield last
            last = message

    for message in stream():
        pay(numbered(message))


def generator_of_batches():
    def source():
        for _ in range(ORDERS):
            yield order()

    def batches(of, size):
        batch = []
        for one in of:
            batch.append(one)
            if len(batch) == size:
                yield batch
                batch = []
        yield batch

    for batch in batches(source(), 3):
        for one in batch:
            pay(one)


def failures_after_the_last():
    failed = []
    for number in range(ORDERS):
        one = order()
        if number % 3:
            pay(one)
        else:
            failed.append(one)
    for one in failed:
        pay(one)


def results_of_tasks():
    async def work(one):
        await asyncio.sleep(0.002)
        return one

    async def main():
        for _ in range(2):
            tasks = []
            for _ in range(ORDERS // 2):
                tasks.append(asyncio.create_task(work(order())))
                await asyncio.sleep(0)
            for one in await asyncio.gather(*tasks):
                pay(one)

    asyncio.run(main())


def results_of_jobs():
    with ThreadPoolExecutor(3) as workers:
        for _ in range(2):
            for done in as_completed([workers.submit(dict, order()) for _ in range(ORDERS // 2)]):
                pay(done.result())


def result_of_a_job():
    with ThreadPoolExecutor(3) as workers:
        for _ in range(ORDERS):
            pay(workers.submit(dict, order()).result())


def again_after_a_while():
    """Every fourth fails, and is sent with the next but one."""
    again = []
    for number in range(ORDERS):
        one = order()
        if number % 4 == 1:
            again.append(one)
        else:
            pay(one)
        if number % 4 == 3:
            for failed in again:
                pay(failed)
            again.clear()


def failures_reported_together():
    failed = []
    for number in range(ORDERS):
        try:
            message = orders.poll(30)
            raise KeyError(numbered(message))
        except KeyError as error:
            failed.append(error)
        if len(failed) == 5:
            for error in failed:
                pay(error.args[0])
            failed.clear()


class Later:
    """Gives what it was given, by the name that a consumer's call for messages has."""

    def __init__(self):
        self.kept = []

    def poll(self, _):
        return self.kept.pop(0)


def one_loop_for_two_sources():
    def work(source):
        for _ in range(2):
            one = source.poll(30)
            payments.produce("payments", b"paid", partition=int(one.value().split()[-1]))

    def keep(later):
        for _ in range(2):
            one = order()
            later.kept.append(Own(b"order %d" % one["number"]))

    later = Later()
    keep(later)
    work(orders)
    work(later)
    keep(later)
    work(later)
    work(orders)
    keep(later)
    work(later)


class Own:
    """Of the program's own, which is no message."""

    def __init__(self, value):
        self._value = value

    def value(self):
        return self._value


def two_consumers():
    """The payments are for the first's."""
    others = consumer("orders")
    others.poll(30)
    for _ in range(ORDERS - 1):
        one, other = order(), numbered(others.poll(30))
        pay(one)
    del other
    others.close()


def two_streams():
    """Of two generators, each of a consumer of its own, one after the other."""
    others = consumer("orders")
    others.poll(30)

    def stream(of):
        for _ in range(ORDERS - 1):
            yield numbered(of.poll(30))

    for one, _ in zip(stream(orders), stream(others)):
        pay(one)
    order()
    others.close()


def two_consumers_in_turn():
    others = consumer("orders")
    for _ in range(ORDERS):
        pay(order())
        pay(numbered(others.poll(30)))
    others.close()


def loop_that_ends_early():
    done = 0
    while done < ORDERS:
        messages = orders.consume(5, 1)
        for at, message in enumerate(messages):
            pay(numbered(message))
            if at == 2:
                break
        for message in messages[3:]:
            pay(numbered(message))
        done += len(messages)


def tasks_of_anyio(backend="asyncio"):
    import anyio

    async def handle(one):
        await anyio.sleep(0.02)
        pay(one)

    async def main():
        async with anyio.create_task_group() as group:
            for _ in range(ORDERS):
                group.start_soon(handle, numbered(await anyio.to_thread.run_sync(orders.poll, 30)))

    anyio.run(main, backend=backend)


def tasks_of_anyio_on_trio():
    tasks_of_anyio("trio")


def tasks_of_trio():
    import trio

    async def handle(one):
        await trio.sleep(0.02)
        pay(one)

    async def main():
        async with trio.open_nursery() as nursery:
            for _ in range(ORDERS):
                nursery.start_soon(handle, numbered(await trio.to_thread.run_sync(orders.poll, 30)))

    trio.run(main)


def handler_of_a_signal():
    import signal

    signal.signal(signalnum=signal.SIGUSR1, handler=lambda *_: pay({"number": 0}))
    for _ in range(ORDERS):
        one = order()
        if one["number"]:
            signal.raise_signal(signal.SIGUSR1)
            pay(one)


if __name__ == "__main__":
    globals()[shape]()
    assert payments.flush(30) == 0
    orders.close()
