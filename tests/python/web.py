"""A web application: each request is an order."""

import os

from clients import producer, send

orders = None


def application(environment, start_response):
    global orders
    orders = orders or producer()
    send(orders, "child")
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
