import os
from threading import Thread
from confluent_kafka import Consumer, Producer

kafka = {"bootstrap.servers": os.environ["KAFKA"]}
producer = Producer(kafka)
shop = Thread(target=lambda: [producer.produce("orders", "order 1"), producer.flush()])
shop.start()

consumer = Consumer({**kafka, "group.id": "payments", "auto.offset.reset": "earliest"})
consumer.subscribe(["orders"])
while not (order := consumer.poll(1)) or order.error():
    pass
shop.join()
producer.produce("payments", b"paid: " + order.value())
producer.flush()
consumer.close()
