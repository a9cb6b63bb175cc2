"""Orders become jobs of Celery, through its broker, to a worker with a pool of threads. Every other job has the order's context with
it, and puts it into the headers of the payment that it sends."""

import sys
import time

from celery import Celery
from celery.contrib.testing.worker import start_worker

from clients import consumer, next_message, producer
from tracer_interceptors import processing

ORDERS = 10
app = Celery("billing", broker="memory://", backend="cache+memory://")
app.conf.update(worker_concurrency=3, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
payments = producer()


@app.task
def pay(number, context):
    time.sleep(0.01)
    headers = {"traceparent": context} if context else None
    payments.produce("payments", b"paid", partition=number, headers=headers)


with start_worker(app, pool="threads", perform_ping_check=False, loglevel="ERROR"):
    orders = consumer("orders")
    jobs = []
    for _ in range(ORDERS):
        order = next_message(orders)
        number = int(order.value().split()[-1])
        with processing(order) as work:
            jobs.append(pay.delay(number, work.traceparent if number % 2 else None))
    for job in jobs:
        job.get(30)
    orders.close()
    sys.exit(payments.flush(30))
