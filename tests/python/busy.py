"""Forks thirty workers, one after the other, while two threads of the parent send."""

import os
import threading
import time

from clients import producer, send

stopped = False
sent = []


def work():
    orders, count = producer(), 0
    while not stopped:
        orders.produce("parent", "order")
        orders.poll(0)
        count += 1
        time.sleep(0.001)
    assert orders.flush(30) == 0
    sent.append(count)


threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
# They are connected: a fork during the C library's look-up of a name would leave its lock locked in the child.
time.sleep(0.5)
for _ in range(30):
    child = os.fork()
    if child == 0:
        mine = producer()
        send(mine, "child", 5)
        del mine
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
stopped = True
for thread in threads:
    thread.join()
print(sum(sent))
