"""Sends 100 000 orders and consumes them as they come; prints its resident memory, in KiB, as it goes."""

import sys

from clients import consumer, producer

COUNT, ROUND, PARTITIONS = 100_000, 10_000, 8


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


by_one = sys.argv[1] == "one"
orders = producer(linger_ms=5, queue_buffering_max_messages=ROUND * 2)
reader = consumer("orders", PARTITIONS, queued_max_messages_kbytes=1024)
taken = 0
for sent in range(0, COUNT, ROUND):
    for number in range(ROUND):
        orders.produce("orders", b"an order of some size: " + bytes(77), partition=number % PARTITIONS)
        orders.poll(0)
    assert orders.flush(60) == 0
    while taken < sent + ROUND:
        messages = [reader.poll(30)] if by_one else reader.consume(1_000, 1)
        assert all(message is not None and not message.error() for message in messages)
        taken += len(messages)
    print(taken, resident())
reader.close()
