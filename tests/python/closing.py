"""Sends by three clients, closes each, and prints how many seconds the closing took: here, or in a `fork`."""

import os
import sys
import time

from clients import producer, send


def work():
    took = 0
    for _ in range(3):
        orders = producer()
        send(orders, "parent", 10)
        before = time.monotonic()
        del orders
        took += time.monotonic() - before
    print(took, flush=True)


if sys.argv[1] != "fork":
    work()
    os._exit(0)
child = os.fork()
if child == 0:
    work()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
