"""Calls librdkafka by pointers that are looked up at run time, as .NET's client and Ruby's do: an order, and its payment."""

import ctypes
import os
import threading

kafka = ctypes.CDLL("librdkafka.so.1")
for name in ("conf_new", "new", "topic_new", "topic_partition_list_new", "topic_partition_list_add", "consumer_poll"):
    getattr(kafka, f"rd_kafka_{name}").restype = ctypes.c_void_p

PRODUCER, CONSUMER = 0, 1
COPY = 2
ANY_PARTITION = -1


class Message(ctypes.Structure):
    _fields_ = [("error", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32)]
    _fields_ += [("payload", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def client(kind, **properties):
    properties["bootstrap.servers"] = os.environ["KAFKA"]
    properties["plugin.library.paths"] = os.environ.get("PLUGIN", "")
    conf = kafka.rd_kafka_conf_new()
    why = ctypes.create_string_buffer(512)
    for name, value in properties.items():
        name = name.replace("_", ".").encode()
        assert kafka.rd_kafka_conf_set(ctypes.c_void_p(conf), name, value.encode(), why, 512) == 0, why.value
    made = kafka.rd_kafka_new(kind, ctypes.c_void_p(conf), why, ctypes.c_size_t(512))
    assert made, why.value
    return ctypes.c_void_p(made)


def send(producer, topic, value):
    topic = ctypes.c_void_p(kafka.rd_kafka_topic_new(producer, topic.encode(), None))
    length = ctypes.c_size_t(len(value))
    assert kafka.rd_kafka_produce(topic, ANY_PARTITION, COPY, value, length, None, ctypes.c_size_t(0), None) == 0
    assert kafka.rd_kafka_flush(producer, 20000) == 0
    kafka.rd_kafka_topic_destroy(topic)


def receive(consumer, topic):
    topics = ctypes.c_void_p(kafka.rd_kafka_topic_partition_list_new(1))
    kafka.rd_kafka_topic_partition_list_add(topics, topic.encode(), ANY_PARTITION)
    assert kafka.rd_kafka_subscribe(consumer, topics) == 0
    kafka.rd_kafka_topic_partition_list_destroy(topics)
    for _ in range(20):
        handed = kafka.rd_kafka_consumer_poll(consumer, 1000)
        if handed:
            message = Message.from_address(handed)
            assert message.error == 0, message.error
            value = ctypes.string_at(message.payload, message.length)
            kafka.rd_kafka_message_destroy(ctypes.c_void_p(handed))
            return value
    raise AssertionError("nothing came")


producer = client(PRODUCER)
# On a thread of its own: a message that a thread began the trace of is no cause of what it sends.
shop = threading.Thread(target=send, args=(producer, "orders", b"order 1"))
shop.start()
shop.join()
consumer = client(CONSUMER, group_id="payments", auto_offset_reset="earliest")
order = receive(consumer, "orders")
send(producer, "payments", b"paid: " + order)
print(order.decode())
kafka.rd_kafka_consumer_close(consumer)
kafka.rd_kafka_destroy(consumer)
kafka.rd_kafka_destroy(producer)
