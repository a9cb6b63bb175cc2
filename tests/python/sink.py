"""Stores order after order, in spans of its own by OpenTelemetry, and sends nothing: first a loop, then a loop that leaves every
other order out, then a list."""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from clients import consumer, next_message

provider = TracerProvider(resource=Resource({"service.name": "store"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces")))
tracer = trace.get_tracer("sink", tracer_provider=provider)
orders = consumer("orders")


def store(order):
    with tracer.start_as_current_span(f"store {order.offset()}"):
        pass


for _ in range(3):
    store(next_message(orders))
for _ in range(4):
    order = next_message(orders)
    if order.offset() % 2:
        store(order)
for order in [next_message(orders) for _ in range(3)]:
    store(order)
with tracer.start_as_current_span("main"):
    orders.close()
provider.shutdown()
