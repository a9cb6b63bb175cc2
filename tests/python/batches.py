"""Consumes ten orders by calls for so many at the most, and then sends a payment."""

import sys

from clients import consumer, producer

at_most = int(sys.argv[1])
orders = consumer("orders")
taken = []
while len(taken) < 10:
    messages = orders.consume(min(at_most, 10 - len(taken)), 30)
    assert messages, "no messages came"
    taken += messages
payments = producer()
payments.produce("payments", "paid")
payments.flush(30)
orders.close()
