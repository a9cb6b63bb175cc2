"""Loops that ask for messages and send, and others: says of each send whether its message is the round's. Knows nothing of Kafka."""

import asyncio
import sys
import weakref

from tracer_interceptors import _loops


class Consumer:
    def poll(self, *args):
        return 1

    def consume(self, *args):
        return [1]


class Orders(Consumer):
    """Each has three items."""

    def poll(self, *args):
        return [1, 2, 3]


class Producer:
    """Says of each send what is found."""

    def __init__(self):
        self.sent = ""

    def poll(self, *args):
        return 0

    def produce(self, *_):
        found = _loops.is_once_in_a_round() if alone else _loops.is_in_its_turn()
        self.sent += "y" if found else "."


alone = False
consumer, orders, producer = Consumer(), Orders(), Producer()


def loop():
    for _ in range(2):
        message = consumer.poll(1)
        if message is None:
            continue
        producer.produce()


def loop_by_a_name_of_its_own():
    ask = consumer.poll
    for _ in range(2):
        message = ask(1)
        producer.produce("payments", message)


class Proxy:
    """As a framework's, of what is there only while a request is."""

    def __getattribute__(self, name):
        raise RuntimeError(f"{name}: there is no request")

    @property
    def __dict__(self):
        raise RuntimeError("there is no request")


def beside_a_proxy():
    proxy = Proxy()
    for _ in range(2):
        if consumer.poll(1) is None:
            proxy.request.poll()
        producer.produce()


def endless_loop():
    rounds = 0
    while True:
        try:
            message = consumer.poll(1)
            if not message:
                continue
            producer.produce()
            producer.produce()
        except KeyError:
            continue
        rounds += 1
        if rounds > 1:
            break


def asks_at_the_end():
    rounds, message = 0, consumer.poll()
    while message and rounds < 2:
        producer.produce()
        message = consumer.poll()
        rounds += 1


def next_message():
    return consumer.poll(1)


def pay():
    producer.produce()


def by_functions():
    for _ in range(2):
        if next_message():
            pay()


class App:
    def __init__(self):
        self.consumer = Consumer()

    def next(self):
        return self.consumer.poll()

    def work(self, message):
        pay()

    def run(self):
        for _ in range(2):
            self.work(self.next())

    def run_itself(self):
        for _ in range(2):
            message = self.consumer.poll()
            self.work(message)


def by_methods():
    App().run()
    App().run_itself()


def messages():
    for _ in range(2):
        yield consumer.poll(1)


def by_a_generator():
    for _ in messages():
        producer.produce()


def fan_out():
    for _ in range(2):
        consumer.poll(1)
        for _ in range(3):
            producer.produce()


def step():
    consumer.poll()
    producer.produce()


def in_steps():
    for _ in range(2):
        step()


def in_a_closure():
    own = Consumer()

    def go():
        for _ in range(2):
            own.poll()
            producer.produce()

    go()


def in_a_task():
    async def main():
        own = Consumer()
        for _ in range(2):
            await asyncio.get_running_loop().run_in_executor(None, own.poll, 1)
            await asyncio.sleep(0)
            producer.produce()

    asyncio.run(main())


def read_once():
    consumer.poll(1)
    for _ in range(3):
        producer.produce()
        producer.poll(0)


def read_once_then_for_ever():
    rounds = 0
    while True:
        if consumer.poll(1):
            break
    while rounds < 3:
        producer.produce()
        producer.poll(0)
        rounds += 1


def settings_of(settings):
    if not settings:
        settings = consumer.poll(0)
    return settings


def read_until_there_by_a_function():
    settings, rounds = None, 0
    while rounds < 3:
        settings = settings_of(settings)
        producer.produce()
        rounds += 1


def some_messages():
    message = None
    while True:
        if not message:
            message = consumer.poll()
        yield message


def by_a_generator_that_asks_once():
    for rounds, _ in enumerate(some_messages()):
        producer.produce()
        if rounds > 1:
            break


def read_until_there():
    settings = None
    for _ in range(3):
        if not settings:
            settings = consumer.poll(0)
        producer.produce()


def read_until_there_and_several():
    settings = None
    for _ in range(2):
        if not settings:
            settings = consumer.poll(0)
        for _ in range(2):
            producer.produce()


def read_again_after_a_while():
    for _ in range(2):
        consumer.poll()
        rounds = 0
        while rounds < 3:
            producer.produce()
            rounds += 1


def serve():
    consumer.poll()
    rounds = 0
    while rounds < 3:
        producer.produce()
        rounds += 1


def served_again():
    for _ in range(2):
        serve()


def list_by_calls():
    waiting = [consumer.poll() for _ in range(3)]
    for _ in waiting:
        producer.produce()


def list_by_one_call():
    for _ in consumer.consume(2):
        producer.produce()


def ends_there():
    while True:
        consumer.poll()
        producer.produce()
        return


# What a send is made of.


def items():
    for _ in range(2):
        order = orders.poll()
        if order:
            for item in order:
                producer.produce("payments", item)


def items_of_what_is_made_of_it():
    for _ in range(2):
        parsed = list(orders.poll(1))
        found = [item + 1 for item in parsed]
        for number, item in enumerate(found):
            producer.produce(number, item)


def items_in_a_function():
    def handle(order, by):
        for item in order:
            by.produce(item)

    for _ in range(2):
        order = orders.poll()
        handle(order, producer)


def items_in_a_method():
    class Shop:
        def handle(self, order):
            for item in order:
                self.pay(item)

        def pay(self, item):
            producer.produce(item)

        def run(self):
            for _ in range(2):
                self.handle(orders.poll())

    Shop().run()


def items_in_a_task():
    async def main():
        for _ in range(2):
            order = await asyncio.get_running_loop().run_in_executor(None, orders.poll, 1)
            for item in order:
                await asyncio.sleep(0)
                producer.produce(item)

    asyncio.run(main())


def with_a_count_and_a_total():
    count, total = 0, []
    for _ in range(2):
        order = orders.poll()
        total += order
        producer.produce(count, total)
        count += 1


def of_either():
    for at in range(2):
        order = orders.poll()
        first, *rest = order if at else list(order)
        producer.produce(first if at else rest)


def window():
    last = None
    for _ in range(3):
        order = orders.poll()
        if last:
            producer.produce(last)
        last = order


def window_of_what_is_made_of_it():
    last = None
    for _ in range(3):
        order = {"items": orders.poll()}
        if last:
            items = last["items"]
            producer.produce(len(items))
        last = order


def window_of_an_object():
    class Shop:
        last = None

        def run(self):
            for _ in range(3):
                order = orders.poll()
                if self.last:
                    producer.produce(self.last)
                self.last = order

    Shop().run()


def waiting_one_by_one():
    waiting = []
    for _ in range(3):
        waiting.append(orders.poll())
        if len(waiting) > 1:
            producer.produce(waiting.pop(0))


def waiting_in_a_dict():
    waiting = {}
    for at in range(4):
        order = orders.poll()
        waiting[at] = order
        if at % 2:
            for one in waiting.values():
                producer.produce(one)
            waiting.clear()


def waiting_in_an_object():
    class Shop:
        def __init__(self):
            self.waiting = []

        def handle(self, order):
            self.waiting.append(order)
            if len(self.waiting) == 2:
                for one in self.waiting:
                    producer.produce(one)
                self.waiting = []

        def run(self):
            for _ in range(4):
                self.handle(orders.poll())

    Shop().run()


def the_one_of_the_other():
    for _ in range(2):
        order, other = orders.poll(), consumer.poll()
        if other:
            producer.produce(order)


class Buffer:
    """Gives what it has, and is no consumer."""

    def poll(self, *args):
        return 1


def of(source):
    for _ in range(2):
        producer.produce(source.poll())


def of_both():
    # From one place.
    list(map(of, (consumer, Buffer(), consumer)))


def ask_of(source):
    def ask():
        return source.poll()

    return ask


def after(step):
    for _ in range(2):
        order = consumer.poll()
        step()
        producer.produce(order)


def after_other_steps():
    list(map(after, (ask_of(Buffer()), ask_of(consumer), str)))


class Holder:
    def __init__(self, source):
        self.source = source

    def run(self):
        for _ in range(2):
            pay_for(self.source.poll())


def pay_for(order):
    producer.produce(order)


def held_by_others():
    list(map(Holder.run, (Holder(Buffer()), Holder(consumer), Holder(Buffer()))))


def from_elsewhere():
    # The innermost places are the same.
    pay_for(1)
    Holder(consumer).run()
    pay_for(1)


def executed_in_others():
    code = compile("for _ in range(2):\n    produce(source.poll())", "<text>", "exec")
    for source in (consumer, Buffer(), consumer):
        exec(code, {"source": source, "produce": producer.produce})


def executed_anew():
    for source in ("consumer", "Buffer()", "consumer"):
        exec(f"for _ in range(2):\n    producer.produce({source}.poll())", globals())


def lets_go_of_its_names():
    for _ in range(3):
        order = Holder(consumer.poll())
        held = weakref.ref(order)
        producer.produce(order)
        del order
        producer.sent += "-" if held() is None else "X"


def keeps_names_that_it_asked_for():
    for _ in range(2):
        order = consumer.poll()
        mine = locals()
        producer.produce(order)
        producer.sent += "-" if mine["order"] == 1 else "X"


def told(shape):
    producer.sent = ""
    shape()
    return f"{shape.__name__} {producer.sent}"


def as_it_is(shape):
    said = told(shape)
    return f"{said} {'y' if producer.sent == AGAIN[shape] else 'X'}"


IN_TURN = [
    loop,
    loop_by_a_name_of_its_own,
    beside_a_proxy,
    endless_loop,
    asks_at_the_end,
    by_functions,
    by_methods,
    by_a_generator,
    fan_out,
    in_steps,
    in_a_closure,
    in_a_task,
]
OTHERS = [
    read_once,
    read_once_then_for_ever,
    read_until_there,
    read_until_there_by_a_function,
    by_a_generator_that_asks_once,
    read_until_there_and_several,
    read_again_after_a_while,
    served_again,
    list_by_calls,
    list_by_one_call,
    ends_there,
]
MADE_OF_ITS_OWN = [
    items,
    items_of_what_is_made_of_it,
    items_in_a_function,
    items_in_a_method,
    items_in_a_task,
    with_a_count_and_a_total,
    of_either,
]
MADE_OF_OTHERS = [
    window,
    window_of_what_is_made_of_it,
    window_of_an_object,
    waiting_one_by_one,
    waiting_in_a_dict,
    waiting_in_an_object,
    the_one_of_the_other,
]
# What is read from one place twice, and what that leaves behind.
AGAIN = {
    of_both: "yy..yy",
    after_other_steps: "yy..yy",
    held_by_others: "..yy..",
    from_elsewhere: ".yy.",
    executed_in_others: "yy..yy",
    executed_anew: "yy..yy",
    lets_go_of_its_names: "y-y-y-",
    # Before Python 3.13 they are not looked at, and nothing is guessed.
    keeps_names_that_it_asked_for: "y-y-" if sys.version_info >= (3, 13) else ".-.-",
}
# A loop over them would be one that asks for messages.
print(*map(told, IN_TURN), sep="\n")
print("--")
print(*map(told, OTHERS), sep="\n")
print("--")
alone = True
print(*map(told, [loop, loop_by_a_name_of_its_own, by_functions, *MADE_OF_ITS_OWN]), sep="\n")
print("--")
print(*map(told, [fan_out, *MADE_OF_OTHERS]), sep="\n")
print("--")
print(*map(as_it_is, AGAIN), sep="\n")
