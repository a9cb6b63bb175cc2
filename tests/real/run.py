"""What real servers make of our spans: runs the shop against them, reads the spans back, and compares span by span.

    tests/real/servers test [--only TEXT]… [--orders N] [--page FILE]

What is right is what the `file` backend writes of the same run. Each row says what a server gave back; the run fails if one span
is missing, is there twice, or differs in what its protocol carries. `--page` writes the table.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVERS = pathlib.Path(os.environ.get("REAL_SERVERS", ROOT / "target/real-servers"))
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PLUGINS = ["file", "jaeger", "kafka", "otlp", "otlp-grpc", "zipkin"]
SERVICES = ["orders", "payments", "shipping", "notifications"]
KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}

# What of a span every protocol carries. `tags` are the span's attributes as text, `resource` those of its resource but for the
# service's name; `links` the spans that it is linked to.
Span = collections.namedtuple("Span", "trace id parent name kind service start duration error tags links resource")
# `settings` are our backend's; `read` gives the spans back; `ignores` has, by field, what is compared where that is not all.
Way = collections.namedtuple("Way", "name server plugin settings read ignores")


# ---------------------------------------------------------------------------------------------------------- reading back


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def text(value):
    """A value as one text, whatever protocol it came by."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def otlp_value(value):
    (kind, inner), = value.items()
    if kind == "arrayValue":
        return [otlp_value(one) for one in inner.get("values", [])]
    return int(inner) if kind == "intValue" else inner


def otlp_file(path):
    """Lines of OTLP/JSON: ours, and the Collector's file exporter."""
    spans = []
    try:
        lines = pathlib.Path(path).read_text().splitlines()
    except FileNotFoundError:
        return spans
    for line in lines:
        try:
            request = json.loads(line)
        except ValueError:
            continue  # the end of a file that is being written
        for resource in request.get("resourceSpans", []):
            of = {one["key"]: otlp_value(one["value"]) for one in resource.get("resource", {}).get("attributes", [])}
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
                spans.append(Span(
                    span["traceId"], span["spanId"], span.get("parentSpanId", ""), span["name"], KINDS[span["kind"]],
                    of["service.name"], start // 1000, (end - start) // 1000, span.get("status", {}).get("code") == 2,
                    {one["key"]: text(otlp_value(one["value"])) for one in span.get("attributes", [])},
                    frozenset((link["traceId"], link["spanId"]) for link in span.get("links", [])),
                    {key: text(value) for key, value in of.items() if key != "service.name"},
                ))
    return spans


def jaeger(query):
    """By the interface that Jaeger's page uses."""
    spans, seen = [], set()
    for service in SERVICES:
        asked = urllib.parse.urlencode({"service": service, "limit": 20000, "lookback": "1h"})
        for trace in get(f"{query}/api/traces?{asked}")["data"]:
            if trace["traceID"] in seen:
                continue
            seen.add(trace["traceID"])
            services = {key: process["serviceName"] for key, process in trace["processes"].items()}
            resources = {key: {tag["key"]: text(tag["value"]) for tag in process.get("tags", [])}
                         for key, process in trace["processes"].items()}
            for span in trace["spans"]:
                tags = {tag["key"]: text(tag["value"]) for tag in span["tags"]}
                refers = [(one["traceID"].zfill(32), one["spanID"].zfill(16)) for one in span.get("references") or []]
                trace_id = span["traceID"].zfill(32)
                # Jaeger keeps parent and links in one list; the parent is of the same trace and comes first.
                parents = [of for kind, of in zip((one["refType"] for one in span.get("references") or []), refers)
                           if kind == "CHILD_OF" and of[0] == trace_id]
                parent = parents[0] if parents else None
                # A consumer works after its producer has ended: between two machines Jaeger takes that for a clock that is wrong.
                warnings = [one for one in span.get("warnings") or [] if not one.startswith("clock skew adjustment")]
                if warnings:
                    raise SystemExit(f"Jaeger warns of {span['operationName']}: {warnings}")
                spans.append(Span(
                    trace_id, span["spanID"].zfill(16), parent[1] if parent else "", span["operationName"],
                    tags.pop("span.kind", "internal"), services[span["processID"]], span["startTime"], span["duration"],
                    tags.pop("error", "false") == "true", tags, frozenset(of for of in refers if of != parent),
                    resources[span["processID"]],
                ))
    return spans


def zipkin(endpoint):
    base = endpoint.removesuffix("/spans")
    spans, seen = [], set()
    for service in SERVICES:
        asked = urllib.parse.urlencode({"serviceName": service, "limit": 20000, "lookback": 3600_000})
        for trace in get(f"{base}/traces?{asked}"):
            if trace[0]["traceId"] in seen:
                continue
            seen.add(trace[0]["traceId"])
            for span in trace:
                tags = dict(span.get("tags", {}))
                spans.append(Span(
                    span["traceId"].zfill(32), span["id"], span.get("parentId", ""), span["name"],
                    span.get("kind", "internal").lower(), span["localEndpoint"]["serviceName"], span["timestamp"],
                    span.get("duration", 0), tags.pop("error", None) is not None, tags, frozenset(), {},
                ))
    return spans


# ------------------------------------------------------------------------------------------------------------ comparing


def differences(right, got, ignores):
    """What is missing, doubled, or other than it should be."""
    found = []
    counted = collections.Counter((span.trace, span.id) for span in got)
    if "resource" in ignores:
        # Where there is none it is among the attributes.
        right, got = ([span._replace(tags={**span.resource, **span.tags}) for span in spans] for spans in (right, got))
    of = {(span.trace, span.id): span for span in got}
    for span in right:
        key = (span.trace, span.id)
        if not counted[key]:
            found.append(f"missing: {span.service}: {span.name}")
            continue
        if counted[key] > 1:
            found.append(f"{counted[key]} times: {span.service}: {span.name}")
        for field in Span._fields:
            want, have = getattr(span, field), getattr(of[key], field)
            if field in ignores:
                want, have = ignores[field](want), ignores[field](have)
            if want != have:
                if isinstance(want, dict):
                    want, have = ({key: value for key, value in one.items() if other.get(key) != value}
                                  for one, other in ((want, have), (have, want)))
                found.append(f"{field} of {span.service}: {span.name}: {have!r}, not {want!r}")
    return found


def without(*prefixes):
    """Attributes but for those that the way there adds or has a field for."""
    return lambda tags: {key: value for key, value in tags.items() if not key.startswith(prefixes)}


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


# -------------------------------------------------------------------------------------------------------------- running


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def shop(folder, backends, kafka, orders):
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
        [BUILT / "examples/shop", "--limit", str(orders), "--rate", "500", "--bootstrap", kafka],
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


def row_of(way, right):
    got = read_back(way, right)
    found = differences(right, got, way.ignores)
    print(f"{way.name:22} {way.server:26} {len(right):6} sent {len(got):6} read back {len(found):5} differences", flush=True)
    for kind, count in collections.Counter(found).most_common(8):
        print(f"    {count} × {kind}")
    return (way.name, way.server, len(right), len(got), len(found))


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", action="append", default=[], metavar="TEXT")
    arguments.add_argument("--orders", type=int, default=300, metavar="N")
    arguments.add_argument("--page", metavar="FILE")
    arguments = arguments.parse_args()
    try:
        at = dict(line.split("=", 1) for line in (SERVERS / "environment").read_text().splitlines())
    except FileNotFoundError:
        raise SystemExit(f"no {SERVERS}/environment: tests/real/servers up")
    packages = [argument for plugin in PLUGINS for argument in ("-p", f"tracer-plugin-{plugin}")]
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", *packages], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--quiet", "--release", "--locked", "--example", "shop"], cwd=ROOT, check=True)
    rows = []
    chosen = [way for way in ways(at) if not arguments.only or any(text in f"{way.name} to {way.server}" for text in arguments.only)]
    for way in chosen:
        for kafka in ("KAFKA", "KAFKA_OLD")[: 2 if way is chosen[0] else 1]:
            with tempfile.TemporaryDirectory() as folder:
                right = shop(pathlib.Path(folder), {"it": (way.plugin, way.settings)}, at[kafka], arguments.orders)
                rows.append(row_of(way, right))
    if not arguments.only:
        # One of each server: what two ways bring to one server would be there twice.
        together = [way for index, way in enumerate(chosen) if way.server not in {one.server for one in chosen[:index]}
                    and not way.server.startswith("Kafka")]
        with tempfile.TemporaryDirectory() as folder:
            backends = {f"b{index}": (way.plugin, way.settings) for index, way in enumerate(together)}
            right = shop(pathlib.Path(folder), backends, at["KAFKA"], arguments.orders)
            rows += [row_of(way._replace(name=f"{way.name}, with all others"), right) for way in together]
    if arguments.page:
        table = [f"| {name} | {server} | {sent:,} | {got:,} | {found} |" for name, server, sent, got, found in rows]
        pathlib.Path(arguments.page).write_text("\n".join([
            "# What real servers gave back", "",
            "Written by `tests/real/servers test --page tests/real/MATRIX.md`. What is right is what the `file` backend has of the same run of",
            "the shop. A span that is missing, is there twice, or differs in what its protocol carries is a difference.", "",
            "| backend | server | spans | read back | differences |", "|---|---|---|---|---|", *table, ""]))
    sys.exit(any(found for *_, found in rows))


if __name__ == "__main__":
    main()
