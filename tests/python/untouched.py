"""Says whether anything of Python's, or of confluent-kafka's, is other than it comes."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import asyncio  # noqa: F401  (it is looked at below)


def look():
    ours = [name for name in sys.modules if name.startswith("tracer_interceptors._") and name.count("_") == 2]
    functions = ThreadPoolExecutor.submit, threading.Thread.start, asyncio.BaseEventLoop.create_task
    return sorted(ours), [function.__code__.co_filename.split("/")[-1] for function in functions]


print(look())
if "import" in sys.argv:
    import confluent_kafka

    print(confluent_kafka.Consumer.__flags__ & (1 << 9), look())
