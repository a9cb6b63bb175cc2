"""Clients of the cluster in KAFKA, with the plugin in PLUGIN when there is one; nothing else here knows of tracing."""

import os
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition


def settings(**more):
    """A client's configuration; `group_id="g"` stands for `group.id`."""
    known = {"bootstrap.servers": os.environ["KAFKA"]}
    if "PLUGIN" in os.environ:
        known["plugin.library.paths"] = os.environ["PLUGIN"]
    return {**known, **{name.replace("_", "."): value for name, value in more.items()}}


def producer(**more):
    return Producer(settings(**more))


def consumer(topic, partitions=1, **more):
    """A consumer of these partitions from their beginning, without its group's ceremony."""
    made = Consumer(settings(**{"group_id": f"readers of {topic}", **more}))
    made.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
    return made


def subscribed(topic, **more):
    """A consumer of the topic as the one member of its group, from the oldest message on."""
    made = Consumer(settings(**{"group_id": f"readers of {topic}", "auto_offset_reset": "earliest", **more}))
    made.subscribe([topic])
    return made


def next_message(consumer):
    """The next message; raises when none comes within 30 seconds."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        message = consumer.poll(0.1)
        if message is not None:
            if message.error():
                raise RuntimeError(message.error())
            return message
    raise TimeoutError("no message came")


def send(producer, topic, count=1):
    """Sends so many messages and waits until the broker has them."""
    for number in range(count):
        producer.produce(topic, f"{topic} {number}", key=str(number))
        producer.poll(0)
    assert producer.flush(30) == 0
