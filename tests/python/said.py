"""Says which order it is at, of a list, in a loop and in tasks: the second fails by an exception, the third says so itself."""

import asyncio
import logging
import sys

from tracer_interceptors import TraceFilter, current_traceparent, processing

from clients import consumer, next_message, producer

orders, payments = consumer("orders"), producer()
handler = logging.StreamHandler(sys.stdout)
handler.addFilter(TraceFilter())
handler.setFormatter(logging.Formatter("%(trace_id)s|%(span_id)s|%(message)s"))
log = logging.getLogger("app")
log.addHandler(handler)

taken = [next_message(orders) for _ in range(4)]
log.warning("before")


def handle(order, work):
    log.warning("at")
    assert work.traceparent == current_traceparent()
    payments.produce("payments", b"paid", partition=order.offset())
    if order.offset() == 1:
        raise KeyError("no card")
    if order.offset() == 2:
        work.fail("CardDeclined", "no funds")


for order in taken[:3]:
    try:
        with processing(order) as work:
            handle(order, work)
    except KeyError as error:
        assert order.offset() == 1, error


async def later(n):
    async with processing(taken[n]) as work:
        await asyncio.sleep(0.01)
        handle(taken[n], work)


asyncio.run(later(3))
log.warning("after")
payments.produce("payments", b"alive", partition=9)
with processing(None) as nothing:
    assert nothing.traceparent is None
assert payments.flush(30) == 0
orders.close()
