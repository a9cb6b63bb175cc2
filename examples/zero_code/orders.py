"""Takes orders."""
import os

from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA"]})
for order in ("two books", "a lamp", "tea"):
    producer.produce("orders", order)
producer.flush()
