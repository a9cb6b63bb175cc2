"""The shop through each backend to each server, and through all at once; what is right is what the `file` backend writes."""

import collections
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

from read_back import differences, get, jaeger, otlp_file, without, zipkin

ROOT = pathlib.Path(__file__).resolve().parents[2]
# `settings` are our backend's; `read` gives the spans back; `ignores` has, by field, what is compared where that is not all.
Way = collections.namedtuple("Way", "name server plugin settings read ignores")


def same_anyhow(_):
    return None


def ways(at):
    # Jaeger has no fields for these, and makes tags of them.
    by_jaeger = {"tags": without("otel.", "w3c.tracestate", "internal.span.format", "error")}
    by_zipkin = {"tags": without("otel.", "w3c.tracestate", "error", "service.peer.name"), "resource": same_anyhow,
                 "links": same_anyhow, "name": str.lower,
                 # Zipkin takes zero for "not known".
                 "duration": lambda microseconds: max(microseconds, 1)}
    thrift = {"transport": "thrift_http"}
    collector = lambda: otlp_file(at["COLLECTOR_SPANS"])  # noqa: E731
    return [
        Way("otlp", "Collector", "otlp", {"endpoint": at["COLLECTOR_OTLP"]}, collector, {}),
        Way("otlp, gzip", "Collector", "otlp", {"endpoint": at["COLLECTOR_OTLP"], "compression": "gzip"}, collector, {}),
        Way("otlp_grpc", "Collector", "otlp_grpc", {"endpoint": at["COLLECTOR_OTLP_GRPC"]}, collector, {}),
        Way("kafka", "Kafka, then the Collector", "kafka",
            {"bootstrap_servers": at["KAFKA"], "traces_topic": "otlp_spans"}, collector, {}),
        Way("kafka", "Kafka, then Jaeger 2", "kafka", {"bootstrap_servers": at["KAFKA"], "traces_topic": "jaeger_spans"},
            lambda: jaeger(at["JAEGER_QUERY"]), by_jaeger),
        Way("otlp", "Jaeger 2", "otlp", {"endpoint": at["JAEGER_OTLP"]}, lambda: jaeger(at["JAEGER_QUERY"]), by_jaeger),
        Way("otlp_grpc", "Jaeger 2", "otlp_grpc", {"endpoint": at["JAEGER_OTLP_GRPC"]},
            lambda: jaeger(at["JAEGER_QUERY"]), by_jaeger),
        Way("jaeger, thrift_http", "Jaeger 2", "jaeger", {"endpoint": at["JAEGER_THRIFT"], **thrift},
            lambda: jaeger(at["JAEGER_QUERY"]), by_jaeger),
        Way("jaeger, thrift_udp", "Jaeger 2", "jaeger", {"endpoint": at["JAEGER_UDP"], "transport": "thrift_udp"},
            lambda: jaeger(at["JAEGER_QUERY"]), by_jaeger),
        Way("jaeger, thrift_http", "Jaeger 1", "jaeger", {"endpoint": at["JAEGER_1_THRIFT"], **thrift},
            lambda: jaeger(at["JAEGER_1_QUERY"]), by_jaeger),
        Way("jaeger, thrift_udp", "Jaeger 1", "jaeger", {"endpoint": at["JAEGER_1_UDP"], "transport": "thrift_udp"},
            lambda: jaeger(at["JAEGER_1_QUERY"]), by_jaeger),
        Way("jaeger, thrift_http", "Collector", "jaeger", {"endpoint": at["COLLECTOR_THRIFT"], **thrift}, collector, by_jaeger),
        Way("jaeger, thrift_udp", "Collector", "jaeger", {"endpoint": at["COLLECTOR_UDP"], "transport": "thrift_udp"},
            collector, by_jaeger),
        Way("zipkin", "Zipkin", "zipkin", {"endpoint": at["ZIPKIN"]}, lambda: zipkin(at["ZIPKIN"]), by_zipkin),
        Way("zipkin", "Collector", "zipkin", {"endpoint": at["COLLECTOR_ZIPKIN"]}, collector, by_zipkin),
    ]


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def shop(at, folder, backends, kafka, orders):
    """One run of the shop; gives back what is right."""
    written = folder / "spans.jsonl"
    backends = {"right": ("file", {"path": str(written)}), **backends}
    shipped = (ROOT / "examples/shop/tracing.toml").read_text()
    services = shipped[: shipped.index("# Where the variables")]
    services = re.sub(r"(?m)^export .*$", "export = " + toml(list(backends)), services)
    tables = [f"[backends.{name}]\nplugin = \"{plugin}\"\nconfig = {toml(settings)}\n" for name, (plugin, settings) in backends.items()]
    file = folder / "tracing.toml"
    file.write_text(services + "\n".join(tables) + "\n[batch]\ndelay = \"200ms\"\n")
    # What the shop starts for itself is not used.
    environment = {**os.environ, "INTERCEPTORS_CONFIG_FILE": str(file)}
    done = subprocess.run(
        [at["SHOP"], "--limit", str(orders), "--rate", "500", "--bootstrap", kafka],
        env=environment, capture_output=True, text=True, timeout=300)
    if "No span was dropped" not in done.stdout:
        raise SystemExit(f"the shop ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return otlp_file(written)


def read_back(way, right, seconds=60):
    """Servers show spans some time after they took them."""
    wanted = {span.trace for span in right}
    keys = {(span.trace, span.id) for span in right}
    end = time.monotonic() + seconds
    while True:
        got = [span for span in way.read() if span.trace in wanted]
        if keys <= {(span.trace, span.id) for span in got} or time.monotonic() > end:
            return got
        time.sleep(1)


def server_of(way):
    """Where the spans are read back."""
    return way.server.removeprefix("Kafka, then ").removeprefix("the ")


def edges_of(spans, server):
    """Which service calls which how often: a span below one of another service; for Jaeger 2, also below one of its own. In Zipkin's
    graph Kafka stands between them."""
    if server == "Zipkin":
        return collections.Counter((span.service, "kafka") if span.kind == "producer" else ("kafka", span.service)
                                   for span in spans if span.kind in ("producer", "consumer"))
    of = {(span.trace, span.id): span.service for span in spans}
    pairs = ((of.get((span.trace, span.parent)), span.service) for span in spans)
    return collections.Counter((caller, called) for caller, called in pairs
                               if caller is not None and (caller != called or server == "Jaeger 2"))


def graph(at, server):
    """The dependency graph that a server draws of all that it has."""
    now = int(time.time() * 1000) + 60_000
    if server == "Zipkin":
        base = at["ZIPKIN"].removesuffix("/spans")
        drawn = get(f"{base}/dependencies?endTs={now}&lookback=86400000")
    else:
        query = at["JAEGER_QUERY" if server == "Jaeger 2" else "JAEGER_1_QUERY"]
        drawn = get(f"{query}/api/dependencies?endTs={now}&lookback=86400000")["data"]
    return collections.Counter({(edge["parent"], edge["child"]): edge["callCount"] for edge in drawn})


def rows(at, orders, only):
    """A row for each way: backend, server, spans, read back, differences."""
    chosen = [way for way in ways(at) if not only or any(text in f"{way.name} to {way.server}" for text in only)]
    # What a server has by now.
    arrived = collections.defaultdict(list)

    def one_run(chosen, kafka, said=""):
        backends = {f"b{index}": (way.plugin, way.settings) for index, way in enumerate(chosen)}
        with tempfile.TemporaryDirectory() as folder:
            right = shop(at, pathlib.Path(folder), backends, at[kafka], orders)
        for way in chosen:
            got = read_back(way, right)
            arrived[server_of(way)] += right
            yield f"{way.name}{said}", at["VERSIONS"].get(server_of(way), way.server), way.server, len(right), len(got), \
                differences(right, got, way.ignores)

    for way in chosen:
        yield from one_run([way], "KAFKA")
    if chosen:
        yield from one_run(chosen[:1], "KAFKA_OLD", ", over Kafka 3.9")
    if not only:
        # One of each server: what two ways bring to one server would be there twice.
        together = {server_of(way): way for way in reversed(chosen) if not way.server.startswith("Kafka")}
        yield from one_run(list(together.values()), "KAFKA", ", with all others")
    for server in ("Jaeger 2", "Jaeger 1", "Zipkin"):
        if arrived[server]:
            right, drawn = edges_of(arrived[server], server), graph(at, server)
            found = [f"{caller} to {called}: {drawn[caller, called]}, not {right[caller, called]}"
                     for caller, called in sorted({*right, *drawn}) if right[caller, called] != drawn[caller, called]]
            yield "the graph of services", at["VERSIONS"][server], server, len(right), len(drawn), found
