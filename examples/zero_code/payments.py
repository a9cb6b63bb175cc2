"""Is paid for each order."""
import os

from confluent_kafka import Consumer, Producer

kafka = {"bootstrap.servers": os.environ["KAFKA"]}
consumer = Consumer(kafka | {"group.id": "payments", "auto.offset.reset": "earliest"})
consumer.subscribe(["orders"])
producer = Producer(kafka)
paid = 0
while paid < 3:
    message = consumer.poll(1)
    if message is not None and not message.error():
        producer.produce("payments", b"paid: " + message.value())
        producer.flush()
        paid += 1
consumer.close()
