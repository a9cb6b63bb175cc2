"""Consumes ten orders by one call and sends a payment: there is no telling which order it is for."""

from clients import consumer, producer

orders = consumer("orders")
taken = []
while len(taken) < 10:
    messages = orders.consume(10 - len(taken), 30)
    assert messages, "no messages came"
    taken += messages
payments = producer()
payments.produce("payments", "paid")
payments.flush(30)
orders.close()
