"""A web application of gunicorn's gevent workers: its one worker takes ten orders, pays each in a greenlet of its own, a little
later, and then lets gunicorn end.

    gunicorn --worker-class gevent --bind 127.0.0.1:0 gunicorn_gevent:application
"""

import os
import signal

import gevent

from clients import consumer, producer

ORDERS = 10


def work():
    orders, payments = consumer("orders"), producer()

    def pay(order):
        gevent.sleep(0.02)
        payments.produce("payments", b"paid", partition=order.offset())

    started = []
    while len(started) < ORDERS:
        order = orders.poll(0)
        if order is not None:
            started.append(gevent.spawn(pay, order))
        gevent.sleep(0.005)
    gevent.joinall(started)
    assert payments.flush(30) == 0
    orders.close()
    os.kill(os.getppid(), signal.SIGTERM)


# The worker imports this, after it was forked.
gevent.spawn(work)


def application(environment, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"1"]
