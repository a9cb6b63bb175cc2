"""Sends messages and consumes each one, in chunks; prints how many it did a second. Knows nothing of tracing.

    python program.py MESSAGES RATE

RATE is how many it tries a second; 0 is as fast as it can.
"""

import os
import sys
import time

import confluent_kafka

PARTITIONS = 16
PAYLOAD = bytes(100)


def main(messages, rate):
    cluster = {"bootstrap.servers": os.environ["KAFKA"]}
    # A consumer waits half a second for a chunk that is not there yet, unless it is told to ask again sooner.
    reading = {"group.id": "bench", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    producer = confluent_kafka.Producer({**cluster, "linger.ms": 5})
    consumer = confluent_kafka.Consumer({**cluster, **reading})
    beginning = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([confluent_kafka.TopicPartition("bench", number, beginning) for number in range(PARTITIONS)])
    # Less than a producer's queue and the cluster's partitions hold; ten a second, when there is a rate.
    chunk = min(messages, rate // 10 if rate else 50_000)
    started = time.perf_counter()
    for sent in range(0, messages, chunk):
        if rate:
            time.sleep(max(0, started + sent / rate - time.perf_counter()))
        for number in range(sent, sent + chunk):
            producer.produce("bench", PAYLOAD, partition=number % PARTITIONS)
        if producer.flush(60) != 0:
            sys.exit("not everything was acknowledged")
        for _ in range(chunk):
            message = consumer.poll(60)
            if message is None or message.error():
                sys.exit(f"no message came: {message and message.error()}")
    print(messages / (time.perf_counter() - started))
    consumer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
