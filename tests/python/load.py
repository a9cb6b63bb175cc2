"""Sends 100 000 orders and consumes them, in rounds; between them it says how much of its memory is resident."""

import os
import sys
import time

from clients import consumer, producer

ROUNDS, ROUND, PARTITIONS = 5, 20_000, 8


def resident_kib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def wait_for(path):
    until = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.01)


by_one = sys.argv[1] == "one"
orders = producer(linger_ms=5)
reader = consumer("orders", PARTITIONS)
for done in range(ROUNDS):
    for number in range(ROUND):
        orders.produce("orders", b"an order of some size: " + bytes(77), partition=number % PARTITIONS)
        orders.poll(0)
    assert orders.flush(60) == 0
    taken = 0
    while taken < ROUND:
        messages = [reader.poll(30)] if by_one else reader.consume(1_000, 1)
        assert all(message is not None and not message.error() for message in messages)
        taken += len(messages)
    # Another poll: the last message is done with.
    assert reader.poll(0) is None
    wait_for(f"{os.environ['ROUND_DONE']}{done}")
    print(resident_kib())
reader.close()
