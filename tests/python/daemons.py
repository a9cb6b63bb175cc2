"""Daemon threads are in the midst of their polls and sends when the program ends: Python ends each where it comes back from a wait."""

import threading
import time

from clients import consumer, producer

orders, payments = consumer("orders"), producer()
began = threading.Semaphore(0)


def work():
    began.release()
    while True:
        orders.poll(0.01)
        payments.produce("payments", b"alive", partition=0, on_delivery=lambda error, message: None)
        payments.poll(0)


for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
for _ in range(3):
    began.acquire()
time.sleep(0.2)
