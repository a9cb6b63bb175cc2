"""Sends, then forks workers that send with clients of their own: by `multiprocessing`, a `pool`, or `os.fork`."""

import multiprocessing
import os
import sys

from clients import producer, send

WORKERS = 3
kept = None


def work(number):
    mine = producer()
    send(mine, "child", 10)


def work_and_keep(number):
    """Its producer is still there when the process ends."""
    global kept
    kept = producer()
    send(kept, "child", 10)


task = work_and_keep if "keep" in sys.argv else work
parent = producer()
send(parent, "parent", 10)
if sys.argv[1] == "multiprocessing":
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=task, args=(number,)) for number in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0, worker.exitcode
elif sys.argv[1] == "pool":
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        pool.map(task, range(WORKERS), chunksize=1)
        pool.close()
        pool.join()
else:
    for number in range(WORKERS):
        child = os.fork()
        if child == 0:
            task(number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
send(parent, "parent", 10)
