"""One thread consumes, another one produces."""

import queue
import threading

from clients import consumer, next_message, producer

ORDERS = 3
waiting = queue.Queue()


def pay():
    payments = producer()
    for _ in range(ORDERS):
        payments.produce("payments", b"paid: " + waiting.get())
        payments.flush(30)
        waiting.task_done()


payer = threading.Thread(target=pay)
payer.start()
orders = consumer("orders")
for _ in range(ORDERS):
    waiting.put(next_message(orders).value())
    waiting.join()
payer.join()
orders.close()
