"""Prints what delivery reports and consumed messages say: nothing that tracing may change."""

from clients import consumer, next_message, producer


def own(headers):
    """The application's own headers: the context is not among them."""
    return [header for header in headers or [] if header[0] not in ("traceparent", "tracestate", "baggage")]


def say(error, message):
    value = message.value()
    print(error, message.topic(), message.partition(), message.offset(), message.key(), value, own(message.headers()))


orders = producer()
for number in range(3):
    headers = [("shop", b"books"), ("number", str(number)), ("empty", None)]
    orders.produce("orders", f"order {number}", key="key", headers=headers, timestamp=1_700_000_000_000, on_delivery=say)
    orders.flush(30)
orders.produce("orders", None, on_delivery=say)
orders.flush(30)
try:
    orders.produce("orders", b"x" * 2_000_000)
except Exception as error:
    print(error)
reader = consumer("orders")
for _ in range(4):
    message = next_message(reader)
    say(message.error(), message)
    print(message.timestamp()[0], len(message))
reader.close()
