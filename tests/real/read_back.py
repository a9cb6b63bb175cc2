"""Spans read back from the servers, by the interfaces that their own pages use, and compared."""

import collections
import json
import pathlib
import urllib.parse
import urllib.request

SERVICES = ["orders", "payments", "shipping", "notifications"]
KINDS = {1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer"}

# What of a span every protocol carries. `tags` are the span's attributes as text, `resource` those of its resource but for the
# service's name; `links` the spans that it is linked to.
Span = collections.namedtuple("Span", "trace id parent name kind service start duration error tags links resource")


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
