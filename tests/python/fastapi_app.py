"""A web application of FastAPI, instrumented by OpenTelemetry: a request orders; a consumer in the application's lifespan charges
each order, in a span of the application's own, and pays. It asks itself three times, and ends."""

import asyncio
import json
import urllib.request
from contextlib import asynccontextmanager

import fastapi
import uvicorn
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from clients import consumer, producer

ORDERS = 3
provider = TracerProvider(resource=Resource({"service.name": "web"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")
orders, payments = producer(), producer()
paid = asyncio.Event()


async def work(order):
    await asyncio.sleep(0.02)
    with tracer.start_as_current_span("charge"):
        await asyncio.sleep(0.02)
        payments.produce("payments", b"paid " + order.value())


async def read():
    reader, tasks = consumer("orders"), []
    try:
        while len(tasks) < ORDERS:
            order = reader.poll(0)
            if order is None:
                await asyncio.sleep(0.01)
                continue
            tasks.append(asyncio.create_task(work(order)))
        await asyncio.gather(*tasks)
        paid.set()
    finally:
        reader.close()


@asynccontextmanager
async def lifespan(app):
    reading = asyncio.create_task(read())
    yield
    await reading


app = fastapi.FastAPI(lifespan=lifespan)
FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])


@app.post("/orders")
async def order():
    await asyncio.sleep(0.01)
    orders.produce("orders", b"order", partition=0)
    orders.poll(0)
    return {"ordered": True}


def ask(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/orders", method="POST")
    assert json.load(urllib.request.urlopen(request, timeout=30)) == {"ordered": True}


async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    for _ in range(ORDERS):
        await asyncio.to_thread(ask, port)
    await paid.wait()
    server.should_exit = True
    await serving


asyncio.run(main())
assert orders.flush(30) == payments.flush(30) == 0
provider.shutdown()
