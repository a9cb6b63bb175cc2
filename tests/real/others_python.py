"""Sends to a topic, or receives from it, with OpenTelemetry's instrumentation of confluent-kafka: others_python.py send|receive SERVERS
TOPIC,… COUNT. It says its spans itself (`span KIND TRACE ID PARENT`); what it receives is linked to what sent it (`link KIND TRACE SPAN`).
"""

import sys

from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import confluent_kafka


class Says(SpanProcessor):
    def on_end(self, span):
        of, parent = span.context, span.parent.span_id if span.parent else 0
        print(f"span {span.kind.name} {of.trace_id:032x} {of.span_id:016x} {parent:016x}")
        for link in span.links:
            print(f"link {span.kind.name} {link.context.trace_id:032x} {link.context.span_id:016x}")


def main():
    does, servers, topic, count = *sys.argv[1:4], int(sys.argv[4])
    provider = TracerProvider()
    provider.add_span_processor(Says())
    ConfluentKafkaInstrumentor().instrument(tracer_provider=provider)
    if does == "send":
        producer = confluent_kafka.Producer({"bootstrap.servers": servers})
        for at in range(count):
            producer.produce(topic, value=f"message {at}", key="key", partition=0)
        assert producer.flush(30) in (0, None)
        return
    consumer = confluent_kafka.Consumer({"bootstrap.servers": servers, "group.id": f"others-{topic}", "auto.offset.reset": "earliest"})
    consumer.subscribe(topic.split(","))
    while count:
        message = consumer.poll(1)
        count -= message is not None and message.error() is None
    consumer.close()


main()
