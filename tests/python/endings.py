"""Sends 100 messages, and after a while in which spans leave 10 more; then ends in one of many ways."""

import ctypes
import os
import resource
import signal
import sys
import threading
import time

from clients import producer, send

how = sys.argv[1]
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
orders = producer()
if "late" in sys.argv:
    send(orders, "orders", 100)
    time.sleep(2.5)
    send(orders, "orders", 10)
else:
    send(orders, "orders", 110)


def fail(error, message):
    raise ValueError(f"cannot do with {message.value()}")


def abort(error, message):
    os.abort()


def crash(error, message):
    ctypes.string_at(0)


def send_for_ever():
    mine = producer()
    while True:
        mine.produce("orders", "one more")
        mine.poll(0)
        time.sleep(0.001)


print("sent")
if how == "exit":
    sys.exit(3)
elif how == "exception":
    raise ValueError("on the top level")
elif how == "terminated":
    os.kill(os.getpid(), signal.SIGTERM)
elif how == "interrupted":
    # Not handled: Python ends in order, and then sends itself the signal again.
    # As it is in a terminal; who starts the tests in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    time.sleep(30)
elif how in ("raised again", "killed again"):
    # As a server does that has ended in order.
    del orders
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if how == "raised again":
        signal.raise_signal(signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
elif how == "another program":
    os.execv("/bin/sh", ["sh", "-c", "exit 6"])
elif how == "threads":
    for _ in range(2):
        threading.Thread(target=send_for_ever, daemon=True).start()
    time.sleep(0.3)
    sys.exit(5)
elif how == "unflushed":
    for _ in range(10):
        orders.produce("orders", "in hand")
elif how == "close":
    del orders
elif how == "_exit":
    os._exit(4)
elif how == "raise in callback":
    orders.produce("orders", "last", on_delivery=fail)
    try:
        orders.flush(30)
    except ValueError as error:
        print(error)
    send(orders, "orders", 1)
elif how in ("abort in callback", "crash in callback"):
    orders.produce("orders", "last", on_delivery=abort if how.startswith("abort") else crash)
    orders.flush(30)
