"""Sends what is refused at once, `alone` or after each of three orders: a third payment where there is room for two, until it is taken.
Says what it was told."""

import sys

from clients import consumer, next_message, producer
from confluent_kafka import KafkaException

follows = sys.argv[1] == "follows"
billing = producer(queue_buffering_max_messages=2, linger_ms=60000)
billing.produce("payments", "first")
billing.flush(30)  # From now on its one partition is known.


def told(*args, **kwargs):
    try:
        billing.produce("payments", *args, **kwargs)
        return "taken"
    except (BufferError, KafkaException, TypeError) as error:
        assert error.__context__ is None and error.__traceback__.tb_next is None, "it is as it was raised"
        code = error.args[0].name() if isinstance(error, KafkaException) else error
        return f"{type(error).__name__} {code}"


def until_taken():
    for number in range(2):
        assert told(f"payment {number}") == "taken"
    print(told("payment"), told(None, key="payment", partition=0))
    billing.flush(30)
    print(told("payment"))
    billing.flush(30)


if follows:
    orders = consumer("orders")
    for _ in range(3):
        next_message(orders)
        until_taken()
    orders.close()
else:
    until_taken()
    print(told("payment", partition=77))
    print(told(b"x" * 2_000_000, on_delivery=print))
    print(told(memoryview(b"abcdef")[::2])[:9], told(7)[:9])
