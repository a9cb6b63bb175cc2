"""Runs a program with OpenTelemetry's own instrumentation of confluent-kafka, set up as its documentation has it.

    python with_opentelemetry.py PROGRAM [ARGUMENTS]
"""

import runpy
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
ConfluentKafkaInstrumentor().instrument()

sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
