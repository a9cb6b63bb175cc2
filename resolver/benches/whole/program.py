"""Sends messages and consumes each one, in chunks. Knows nothing of tracing.

    python program.py MESSAGES BYTES PARTITIONS HEADER

HEADER is 1 where it sets a traceparent on what it sends and reads it off what it consumes. RATE is how many it tries to send a
second, if it is set, a tenth of a second's at once. KAFKA and TOPIC say where, FIGURES names the file for the seconds that the
loop took.
"""

import os
import random
import sys
import time

import confluent_kafka


def traceparent():
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


def parent(message):
    text = dict(message.headers())["traceparent"]
    return int(text[3:35], 16), int(text[36:52], 16)


def main(messages, size, partitions, has_header):
    topic, payload = os.environ["TOPIC"], bytes(size)
    cluster = {"bootstrap.servers": os.environ["KAFKA"]}
    # A consumer waits half a second for a chunk that is not there yet, unless it is told to ask again sooner.
    reading = {"group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    producer = confluent_kafka.Producer({**cluster, "linger.ms": 5})
    consumer = confluent_kafka.Consumer({**cluster, **reading})
    beginning = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([confluent_kafka.TopicPartition(topic, number, beginning) for number in range(partitions)])
    # Two fit into the cluster, as in program.c.
    rate = int(os.environ.get("RATE", 0))
    chunk = min(partitions * (2 << 20) // (size + 200), rate // 10 if rate else 50_000)
    started = time.perf_counter()
    for sent in range(0, messages, chunk):
        if rate:
            time.sleep(max(0, started + sent / rate - time.perf_counter()))
        numbers = range(sent, min(sent + chunk, messages))
        if has_header:
            for number in numbers:
                headers = [("traceparent", traceparent())]
                producer.produce(topic, payload, partition=number % partitions, headers=headers)
        else:
            for number in numbers:
                producer.produce(topic, payload, partition=number % partitions)
        if producer.flush(60) != 0:
            sys.exit("not everything was acknowledged")
        for _ in numbers:
            message = consumer.poll(60)
            if message is None or message.error():
                sys.exit(f"no message came: {message and message.error()}")
            if has_header:
                parent(message)
    took = time.perf_counter() - started
    with open(os.environ["FIGURES"], "w") as figures:
        figures.write(f"seconds {took}\n")
    consumer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "1")
