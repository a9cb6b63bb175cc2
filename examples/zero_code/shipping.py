"""Ships what is paid."""
import os

from confluent_kafka import Consumer

consumer = Consumer(
    {"bootstrap.servers": os.environ["KAFKA"], "group.id": "shipping", "auto.offset.reset": "earliest"}
)
consumer.subscribe(["payments"])
shipped = 0
while shipped < 3:
    message = consumer.poll(1)
    if message is not None and not message.error():
        print("shipped:", message.value().decode())
        shipped += 1
consumer.close()
