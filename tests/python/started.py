"""What is started with something, and sends: says of each send whether it may be of what was given at the start. Knows nothing of
Kafka."""

import asyncio
import functools
import heapq
import json
import logging
import sys
import threading
from types import FunctionType

from tracer_interceptors import _aio, _queues, _sends, _since, _started
from tracer_interceptors._root import Root


class Producer:
    """Says of each send what is found: made of what was given, of nothing that is seen, of what others put there, or of both."""

    sent, root = "", None

    def produce(self, *_):
        self.sent += {True: "y", None: "-", False: ".", "others": "x"}[made_since(self.root)]


# The calls of the layer's own are not looked at.
Producer.produce = FunctionType(
    Producer.produce.__code__.replace(co_filename=_since.__file__), {"made_since": _since.made_since}
)
producer, shared = Producer(), None


class Shared:
    def __init__(self):
        self.items = [1, 2]
        self.by_number = {1: [1, 2]}
        self.handlers = [once, several_times]
        self.jobs = [functools.partial(once, 1), functools.partial(once, 2)]

    def next(self):
        return self.items.pop(0) if self.items else None

    async def receive(self):
        return self.next()

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.items:
            raise StopAsyncIteration
        return self.next()


def take(number):
    return shared.by_number.pop(number)


def drain(number):
    for item in shared.by_number[number]:
        yield item


def give(number):
    return number


def pay_by(number, step):
    producer.produce("payments", step(number))


def by_one_function_and_another(number):
    # From one place.
    list(map(pay_by, (number, number, number), (give, take, give)))


def once(number):
    producer.produce("payments", number)


def once_and_nothing(number):
    producer.produce("payments", b"paid")


def several_times(number):
    for attempt in range(2):
        producer.produce("payments", str(number), attempt)


def until_it_is_there(number):
    tries = 0
    while tries < 2:
        try:
            producer.produce("payments", {"number": number})
        finally:
            tries += 1


def parts_of_it(order):
    for item in order["items"]:
        producer.produce("payments", item)


def parts_that_are_collected(number):
    parts = []
    parts.append(str(number))
    parts.append({"number": number})
    for part in parts:
        producer.produce("payments", part)


async def of_what_is_asked_for(number):
    async def fetch(number):
        await asyncio.sleep(0)
        return {"number": number}

    for _ in range(2):
        row = await fetch(number)
        producer.produce("payments", row)


def in_other_functions(number):
    def pay(one):
        producer.produce("payments", one)

    for _ in range(2):
        pay(number)


def of_it_and_of_what_it_looks_up(number):
    producer.produce("payments", {"number": number, "more": shared.by_number[number]})


def its_parts_and_what_it_looks_up(order):
    for item in order["items"]:
        producer.produce("payments", {"item": item, "more": shared.by_number[1]})


def sends(name, items):
    for item in items:
        producer.produce(name, item)


def in_a_function_that_is_given_others(number):
    sends(str(number), shared.items)


def in_a_function_that_is_given_some_of_others(number):
    sends(str(number), shared.by_number[number])


async def in_a_coroutine_that_is_given_others(number):
    async def sends_later(name, items):
        await asyncio.sleep(0)
        for item in items:
            producer.produce(name, item)

    await sends_later(str(number), shared.items)


def by_handlers_of_others(number):
    for handler in shared.handlers:
        handler(number)


class Log(logging.Handler):
    def emit(self, record):
        producer.produce("log", record.msg, record.args)


log = logging.getLogger("started")
log.addHandler(Log())


def in_a_handler_of_log_lines(number):
    log.warning("paid %s", number)
    log.warning("paid")


def a_copy_of_others(number):
    for item in [*shared.items]:
        producer.produce("payments", item)


def all_of_others(number):
    producer.produce("payments", json.dumps(shared.items))


def the_next_of_others(number):
    while shared.items:
        producer.produce("payments", heapq.heappop(shared.items))


def work_of_others(number):
    while shared.jobs:
        shared.jobs.pop()()


def waits_for_more(number):
    while True:
        item = shared.next()
        if item is None:
            break
        producer.produce("payments", item)


async def receives(number, stream):
    for _ in range(2):
        producer.produce("payments", await stream.receive())


async def receives_by_a_loop(number, stream):
    async for item in stream:
        producer.produce("payments", item)


def with_its_own_number_too(number):
    for item in shared.items:
        producer.produce("payments", {"of": number, "item": item})


def by_its_own_number(number):
    producer.produce("payments", shared.by_number[number])


def by_its_own_number_in_a_function(number):
    producer.produce("payments", take(number))


def by_a_generator(number):
    for item in drain(number):
        producer.produce("payments", item)


def from_a_list_that_it_was_given(number, items):
    for item in items:
        producer.produce("payments", item)


def the_first_and_then_others(number):
    while number is not None:
        producer.produce("payments", number)
        number = shared.next()


def put_back_and_taken(number):
    shared.items.append(number)
    for item in shared.items:
        producer.produce("payments", item)


def of_nothing_that_is_seen(number):
    for _ in range(2):
        producer.produce("payments", b"paid")


def told(function):
    global shared
    shared = Shared()
    values = {"number": 1, "order": {"items": [1, 2]}, "stream": shared, "items": shared.items}
    code = function.__code__
    given = {name: values[name] for name in code.co_varnames[: code.co_argcount]}
    producer.root, producer.sent = Root.of(code, given), ""
    made = function(**given)
    if asyncio.iscoroutine(made):
        asyncio.run(made)
    return f"{function.__name__} {producer.sent}"


OF_WHAT_WAS_GIVEN = [
    once,
    once_and_nothing,
    several_times,
    until_it_is_there,
    parts_of_it,
    parts_that_are_collected,
    of_what_is_asked_for,
    in_other_functions,
    by_handlers_of_others,
    in_a_handler_of_log_lines,
]
OF_OTHERS = [
    waits_for_more,
    receives,
    receives_by_a_loop,
    with_its_own_number_too,
    by_its_own_number,
    by_its_own_number_in_a_function,
    by_a_generator,
    from_a_list_that_it_was_given,
    put_back_and_taken,
    in_a_function_that_is_given_others,
    in_a_function_that_is_given_some_of_others,
    in_a_coroutine_that_is_given_others,
    a_copy_of_others,
    all_of_others,
    the_next_of_others,
    work_of_others,
]
OF_BOTH_OR_OF_NOTHING = [
    of_it_and_of_what_it_looks_up,
    its_parts_and_what_it_looks_up,
    of_nothing_that_is_seen,
]
print(*map(told, OF_WHAT_WAS_GIVEN), sep="\n")
print("--")
print(*map(told, OF_OTHERS), sep="\n")
print("--")
print(*map(told, OF_BOTH_OR_OF_NOTHING), sep="\n")
print("--")
said = told(by_one_function_and_another)
print(said, "y" if producer.sent == "yxy" else "X")


def a_thread_whose_start_another_library_had_before():
    """As Sentry's, which takes what it finds for a class's function, and calls it with the thread."""
    done = []

    class Own(threading.Thread):
        def run(self):
            done.append("its class's")

    replaced = threading.Thread()
    replaced.run = lambda *_: done.append("its own")
    for thread in (threading.Thread(target=done.append, args=("its target",)), Own(), replaced):
        _started._Begun(thread, None)
        before = getattr(thread.run, "__func__", thread.run)
        thread.run = functools.wraps(before)(lambda *given: before(threading.current_thread(), *given))
        thread.start()
        thread.join()
    assert done == ["its target", "its class's", "its own"], done


a_thread_whose_start_another_library_had_before()


def a_record_of_no_message_that_is_put_into_a_buffer():
    """As `AIOProducer`'s is: whoever sends the buffer says nothing of it."""

    class Manager:
        def add_message(self, record):
            buffer.append(record)

    buffer = []
    _aio.producers(type("module", (), {"ProducerBatchManager": Manager}))
    Manager().add_message({"value": b"paid"})
    assert all(map(_sends.is_noted, buffer)) and _sends.runs(buffer) == [(None, [{"value": b"paid"}])], buffer


a_record_of_no_message_that_is_put_into_a_buffer()


def a_queue_that_ever_more_tasks_put_into():
    class Line:
        def put(self, item):
            return None

        get = put

    class Module:
        Queue, LifoQueue = Line, type("LifoQueue", (), {})

    _queues.threads(Module)
    line, real = Line(), _queues.train
    line.__dict__[_queues._NAME] = watch = _queues._Watch()
    try:
        for number in range(_queues.MOST_PUTTERS + 1):
            assert watch.is_believed and len(watch.putters) == number
            _queues.train = lambda: number
            line.put("one")
            watch.put.clear()
    finally:
        _queues.train = real
    assert not watch.is_believed


a_queue_that_ever_more_tasks_put_into()


def threads_that_are_a_pool_s_own():
    class Worker(threading.Thread):
        """As anyio's."""

        __module__ = "anyio._backends._asyncio"

    def feed():
        """As multiprocessing's."""

    feed.__module__ = "multiprocessing.queues"
    own = threading.Thread(target=once, args=(1,))
    threads = Worker(), threading.Thread(target=feed, args=(1,), daemon=True), own
    assert [*map(_started._is_service, threads)] == [True, True, False]
    # A program's own work may be run by a class of those.
    assert not _started._is_service(Worker(target=once, args=(1,)))


threads_that_are_a_pool_s_own()


def names_that_the_program_asks_for(number):
    """They are the program's: before Python 3.13 there is one `dict` of them."""
    asked = locals()
    number *= 2
    producer.produce("payments", number)
    json.dumps(asked)
    exec("price = 3")
    producer.produce("payments", number)
    return eval("price") if sys.version_info < (3, 13) else 3


producer.root, producer.sent = Root.of(names_that_the_program_asks_for.__code__, {"number": 1}), ""
assert names_that_the_program_asks_for(1) == 3
assert producer.sent == "xx" or sys.version_info >= (3, 13), producer.sent
