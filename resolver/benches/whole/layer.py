"""What following the task costs a Python program, by the way in which the program is at its messages.

    python3 resolver/benches/whole/layer.py [--messages N] [--rounds N] [--built FOLDER] [WAY...]

The same program runs preloaded, without the layer and with it, in turn; the figure is the processor time of its main thread for a
message, and what the layer adds to it: the median of the rounds' differences. It needs a Python with confluent-kafka, and what
these build:

    cargo build --release -p tracer-resolver-librdkafka -p tracer-plugin-file
    cargo build --release -p tracer-resolver-contracts --example playground
"""

import argparse
import asyncio
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
LAYER = ROOT / "resolver/librdkafka/python/tracer_interceptors/start"
CONFIGURATION = """
version = 1
[services.billing]
consumes = ["orders"]
topics = ["payments"]
export = ["file"]
[backends.file]
plugin = "file"
queue_bytes = "128MiB"
config = {{ path = "{}/spans.jsonl" }}
"""
WARM = 200


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--built", type=pathlib.Path, default=BUILT)
    options.add_argument("ways", nargs="*", default=list(WAYS))
    options = options.parse_args()
    if "KAFKA" not in os.environ:
        playground = [options.built / "examples/playground", "--quiet", "--topic", "orders:1", "--topic", "payments:4", "--"]
        sys.exit(subprocess.run([*playground, sys.executable, *sys.argv]).returncode)
    fill(options.messages + WARM)
    print("| the program | µs a message preloaded | with the layer |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        configuration = pathlib.Path(folder) / "tracing.toml"
        configuration.write_text(CONFIGURATION.format(folder))
        preloaded = {
            "LD_PRELOAD": str(options.built / "libtracer_interceptors.so"),
            "INTERCEPTORS_CONFIG_FILE": str(configuration),
        }
        for way in options.ways:
            pairs = []
            for _ in range(options.rounds):
                pairs.append([took(way, options.messages, {**preloaded, **more}) for more in ({}, {"PYTHONPATH": str(LAYER)})])
            without, more = statistics.median(one for one, _ in pairs), statistics.median(both - one for one, both in pairs)
            print(f"| {WAYS[way].__doc__} | {without:.2f} | +{more:.2f} |", flush=True)


def fill(count):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": os.environ["KAFKA"], "queue.buffering.max.messages": count + 1})
    for number in range(count):
        producer.produce("orders", b"order %d" % number)
    assert producer.flush(60) == 0


def took(way, messages, variables):
    ran = subprocess.run(
        [sys.executable, "-c", "import layer, sys; layer.run(*sys.argv[1:])", way, str(messages)],
        env={**os.environ, **variables},
        cwd=pathlib.Path(__file__).parent,
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(ran.stdout)


# The program.


def run(way, messages):
    global poll, consume, produce
    from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

    kafka = {"bootstrap.servers": os.environ["KAFKA"]}
    producer = Producer({**kafka, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000})
    consumer = Consumer({**kafka, "group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 10})
    consumer.assign([TopicPartition("orders", 0, OFFSET_BEGINNING)])
    poll, consume, produce = consumer.poll, consumer.consume, producer.produce
    WAYS[way](WARM)
    assert producer.flush(60) == 0
    began = time.thread_time()
    WAYS[way](int(messages))
    print((time.thread_time() - began) / int(messages) * 1e6)
    assert producer.flush(60) == 0
    consumer.close()


def loop(count):
    """polls and sends on"""
    for _ in range(count):
        produce("payments", poll(30).value())


def batches(count):
    """loops over what `consume(100)` gave, and sends on"""
    while count > 0:
        messages = consume(min(count, 100), 30)
        for message in messages:
            produce("payments", message.value())
        count -= len(messages)


def half(count):
    """polls, and sends every other one on"""
    for number in range(count):
        message = poll(30)
        if number % 2:
            produce("payments", message.value())


def changed(count):
    """polls, and sends every other one on, changed"""
    for number in range(count):
        message = poll(30)
        if number % 2:
            produce("payments", b"paid " + message.value())


def few(count):
    """polls, and sends one of a hundred on"""
    for number in range(count):
        message = poll(30)
        if number % 100 == 0:
            produce("payments", message.value())


def tasks(count):
    """polls, and sends on in a task of asyncio for each"""

    async def handle(value):
        produce("payments", value)

    async def every():
        for _ in range(count):
            await asyncio.create_task(handle(poll(30).value()))

    asyncio.run(every())


WAYS = {way.__name__: way for way in (loop, batches, half, changed, few, tasks)}

if __name__ == "__main__":
    main()
