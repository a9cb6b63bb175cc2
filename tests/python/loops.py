"""Loops that ask for messages and send, and others: says of each send whether its message is the round's. Knows nothing of Kafka."""

import asyncio

from tracer_interceptors import _loops


class Consumer:
    def poll(self, *args):
        return 1

    def consume(self, *args):
        return [1]


class Producer:
    """Says of each send what is found."""

    def __init__(self):
        self.sent = ""

    def poll(self, *args):
        return 0

    def produce(self):
        found = _loops.is_once_in_a_round() if alone else _loops.is_in_its_turn()
        self.sent += "y" if found else "."


alone = False
consumer, producer = Consumer(), Producer()


def loop():
    for _ in range(2):
        message = consumer.poll(1)
        if message is None:
            continue
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
            await asyncio.to_thread(own.poll, 1)
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


def told(shape):
    producer.sent = ""
    shape()
    return f"{shape.__name__} {producer.sent}"


IN_TURN = [loop, endless_loop, asks_at_the_end, by_functions, by_methods, by_a_generator, fan_out, in_steps, in_a_closure, in_a_task]
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
# A loop over them would be one that asks for messages.
print(*map(told, IN_TURN), sep="\n")
print("--")
print(*map(told, OTHERS), sep="\n")
print("--")
alone = True
print(*map(told, [loop, by_functions, fan_out]), sep="\n")
