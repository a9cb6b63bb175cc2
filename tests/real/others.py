"""Other people's instrumentations, both ways: their message is the parent of what we receive, ours of what they receive.

`record` writes the headers that were on the wire, byte for byte, and what their owners say of their spans: `tests/header_formats.rs`
reads that again in every run of the ordinary tests.
"""

import collections
import functools
import json
import os
import re
import subprocess
import time

from clients import Program
from read_back import otlp_file

COUNT = 3
W3C = ["tracecontext", "baggage"]
# `relation` is what joins a span of theirs to the message's sender.
Library = collections.namedtuple("Library", "name file inject relation", defaults=[W3C, "parents"])
LIBRARIES = [
    Library("OpenTelemetry Java agent {agent}, kafka-clients {Kafka}", "java_agent"),
    Library("OpenTelemetry Java library {library}, kafka-clients {Kafka}", "java_library"),
    Library("opentracing-kafka-client {opentracing}, jaeger-client {jaeger_client}, kafka-clients {kafka_oldest}", "java_2019", ["jaeger"], "follows"),
    Library("Brave {brave}, kafka-clients {Kafka}", "brave", ["b3"]),
    Library("OpenTelemetry Python {python}, confluent-kafka {confluent}", "python", W3C, "links"),
    Library("OpenTelemetry JS {js}, kafkajs {kafkajs}", "javascript"),
    Library("kotel {kotel}, franz-go {franz}", "kotel"),
]
JAVA = ["java_agent", "java_library", "java_2019", "brave"]
WHO = {"parents": "", "links": ", who link to them", "follows": ", who follow from them"}
FILE = """version = 1
[services.ours]
topics = ["*"]
export = ["right"]
propagators = {{ inject = {inject} }}
[backends.right]
plugin = "file"
config = {{ path = "{path}" }}
"""


def agent(at, service):
    """How a JVM is told to take OpenTelemetry's agent, which sends its spans to the Collector."""
    jar = at["FOLDER"] / f"others/agent-{at['VERSIONS']['agent']}/opentelemetry-javaagent-{at['VERSIONS']['agent']}.jar"
    return [f"-javaagent:{jar}", f"-Dotel.service.name={service}", f"-Dotel.exporter.otlp.endpoint={at['COLLECTOR_OTLP']}",
            "-Dotel.exporter.otlp.protocol=http/protobuf", "-Dotel.metrics.exporter=none", "-Dotel.logs.exporter=none"]


def agent_spans(at, service, enough):
    """What the Collector has of a service, as soon as it is enough, or else after a while."""
    end = time.monotonic() + 20
    while True:
        spans = [span for span in otlp_file(at["COLLECTOR_SPANS"]) if span.service == service]
        if enough(spans) or time.monotonic() > end:
            return spans
        time.sleep(1)


@functools.cache
def compiled(folder, here, jars):
    """`Others.java`, compiled before it runs: what `java` runs from its source is not seen by the agent."""
    classes = folder / "others/classes"
    subprocess.run(["javac", "-cp", jars, "-d", classes, here / "Others.java"], check=True)
    return classes


def java(at, library, service):
    """How a JVM is called that does as it is told."""
    folder = at["FOLDER"]
    kafka = f"{folder}/kafka-{at['VERSIONS']['Kafka']}/*"
    of = {name: f"{folder}/others/{name}-{at['VERSIONS'][name]}/*" for name in ("brave", "library", "opentracing")}
    classes = compiled(folder, at["HERE"], ":".join([kafka, *of.values()]))
    jars = {"java_agent": [kafka], "java_library": [kafka, of["library"]], "java_2019": [of["opentracing"]], "brave": [kafka, of["brave"]]}
    return ["java", *(agent(at, service) if library.file == "java_agent" else []),
            "-cp", ":".join([*jars[library.file], str(classes)]), "Others", library.file]


def theirs(at, library, does, topics, service, expected=COUNT, count=COUNT, keeps=True):
    """A program of theirs that sends, receives or passes on so many messages, by a sampler that keeps all traces or none; what it tells of
    its spans, of which so many are waited for: kind, trace, id, parent; of one that is linked, in place of its own, the trace of the
    other one, and that one for its parent."""
    folder = at["FOLDER"] / "others"
    command = {"python": [folder / "python/bin/python", at["HERE"] / "others_python.py"], "javascript": ["node", at["HERE"] / "others.js"],
               "kotel": [folder.parent / "bin/kotel"]}.get(library.file) or java(at, library, service)
    told = subprocess.run([*command, does, at["KAFKA"], ",".join(topics), str(count)], capture_output=True, text=True, timeout=180,
                          env={**os.environ, "OTHERS": str(folder / "node"), **({} if keeps else {"OTEL_TRACES_SAMPLER": "always_off"})})
    if told.returncode:
        raise SystemExit(f"{library.name}: {told.stderr[-3000:]}")
    if library.file != "java_agent":
        lines = [line.split() for line in told.stdout.splitlines()]
        of = {"span": lambda kind, trace, span, parent="": (kind, trace, span, parent), "link": lambda kind, trace, span: (kind, trace, "", span)}
        word = "link" if library.relation == "links" and does == "receive" else "span"
        return [of[word](*line[1:]) for line in lines if line[0] == word]
    spans = agent_spans(at, service, lambda spans: len(spans) >= expected)
    return [(span.kind.upper(), span.trace, span.id, span.parent) for span in spans]


def ours(at, library, folder, steps, traced):
    """Our program; its spans, and by offset the headers of what it received."""
    folder.mkdir()
    (folder / "tracing.toml").write_text(FILE.format(inject=json.dumps(library.inject), path=folder / "spans.jsonl"))
    environment = {"PLUGIN": str(at["LIBRARY"]), "INTERCEPTORS_CONFIG_FILE": str(folder / "tracing.toml")} if traced else {}
    program = Program(at["PROGRAMS"]["c"], {"KAFKA": at["KAFKA"], "HEADERS": "1", **environment}, folder / "log")
    for step in steps:
        program.ask(step)
    _, log = program.end()
    headers = collections.defaultdict(list)
    for line in log.splitlines():
        if line.startswith("header "):
            _, offset, name, value = (line + " ").split(" ", 3)
            headers[offset].append([name, value.strip()])
    return otlp_file(folder / "spans.jsonl"), dict(headers)


def receives(topic, limit_ms=30_000):
    return [f"consumer c group.id=g-{topic}", f"assign c {topic} 0", f"receive {COUNT} {limit_ms} c", "close c"]


def sends(topic):
    return ["producer p", f"topic p {topic} 1 1", f"send p {topic} {COUNT} 9 key 0", "flush p 30000", "close p"]


def passes(topic):
    """Receives messages one by one, and for each sends one: to that topic, from the one of the same name without `-on`."""
    steps = ["producer p", f"topic p {topic} 1 1", f"consumer c group.id=g-{topic}", f"assign c {topic.removesuffix('-on')} 0"]
    return steps + ["receive 1 30000 c", f"send p {topic} 1 9 key 0", "flush p 30000"] * COUNT + ["close c", "close p"]


def itself(span):
    return span.trace, span.id


def parent(span):
    return span.trace, span.parent


def of_kind(told, kind, part):
    """The traces of their spans of a kind, each with one of: 2, the span; 3, its parent."""
    return {(span[1], span[part]) for span in told if span[0] == kind}


def differ(*pairs):
    return [f"{what}: {sorted(map(str, got))}, not {sorted(map(str, right))}" for what, right, got in pairs if right != got]


def context_of(headers):
    """Of a message: the trace that its header names, and whether that is kept."""
    for name, value in headers:
        text = bytes.fromhex(value).decode()
        if name in ("traceparent", "b3", "uber-trace-id"):
            parts = re.split("[-:]", text.removeprefix("00-") if name == "traceparent" else text)
            return parts[0].zfill(32), bool(int(parts[2 if name == "b3" else -1], 16) & 1)
    return "", None


def rows(at, folder, only, record):
    for library in LIBRARIES:
        name = library.name.format(**at["VERSIONS"])
        if not only or any(text in name for text in only):
            for way, sent, got, found in ways(at, folder, library, name, record):
                yield name, way, sent, got, found


def ways(at, folder, library, name, record):
    unique = f"others-{os.getpid()}-{library.file}"

    def run(steps, traced=True):
        return ours(at, library, folder / f"{unique}-{time.monotonic_ns()}", steps, traced)

    def at_first(spans):
        return next(span for span in spans if span.tags["messaging.kafka.offset"] == "0")

    kept, other, out = f"{unique}-kept", f"{unique}-not-kept", f"{unique}-out"
    run(["producer p", *(f"topic p {topic} 1 1" for topic in (kept, other, f"{out}-on")), "close p"], False)
    # Theirs to us.
    came = of_kind(theirs(at, library, "send", [kept], f"{unique}-sends"), "PRODUCER", 2)
    got, came_headers = run(receives(kept))
    yield "theirs, received by us", len(came), len(got), differ(
        ("parents", came, {parent(span) for span in got}), ("spans", [COUNT, COUNT], [len(came), len(got)]))
    first = at_first(got)
    recorded = {"library": name, "inject": library.inject, "theirs": {"headers": came_headers["0"], "trace": first.trace, "span": first.parent}}
    # Ours to them, and theirs that we pass on to them: kept, and not kept.
    sent, _ = run(sends(out))
    passed, _ = run(passes(f"{kept}-on"))
    begun = theirs(at, library, "send", [other], f"{unique}-not-sends", 0, keeps=False)
    silent, other_headers = run(passes(f"{other}-on"))
    told = theirs(at, library, "receive", [out, f"{kept}-on", f"{other}-on"], f"{unique}-receives", 2 * COUNT, 3 * COUNT)
    read, traces = of_kind(told, "CONSUMER", 3), {span.trace for span in sent}
    theirs_of_ours = {one for one in read if one[0] in traces}
    who = WHO[library.relation]
    yield f"ours, received by them{who}", len(sent), len(theirs_of_ours), differ(
        (library.relation, {itself(span) for span in sent}, theirs_of_ours), ("spans", [COUNT], [len(sent)]))
    received, onward = ([span for span in passed if span.kind == kind] for kind in ("consumer", "producer"))
    theirs_of_theirs = {one for one in read if one[0] in {trace for trace, _ in came}}
    _, on_headers = run(receives(f"{kept}-on"), False)
    yield f"theirs, passed on by us, received by them{who}", len(came), len(theirs_of_theirs), differ(
        ("parents of what we received", came, {parent(span) for span in received}),
        ("parents of what we sent", {itself(span) for span in received}, {parent(span) for span in onward}),
        (library.relation, {itself(span) for span in onward}, theirs_of_theirs), ("spans", [COUNT], [len(came)]),
        ("baggage", *([header for header in of["0"] if header[0] == "baggage"] for of in (came_headers, on_headers))))
    # Nobody has a span of these, and each trace goes on; but who links begins a trace, whatever it links to.
    _, on_headers = run(receives(f"{other}-on"), False)
    contexts, onward = ({offset: context_of(one) for offset, one in of.items()} for of in (other_headers, on_headers))
    rest = read - theirs_of_ours - theirs_of_theirs
    expected = {trace for trace, _ in contexts.values()} if library.relation == "links" else set()
    yield f"theirs, not kept, passed on by us, received by them{who}", len(contexts), len(rest) + len(silent) + len(begun), differ(
        ("spans", [[], []], [begun, silent]), (library.relation, expected, {trace for trace, _ in rest}),
        ("headers", contexts.items(), onward.items()), ("kept", {False}, {is_kept for _, is_kept in contexts.values()}))
    _, out_headers = run(receives(out), False)
    first = at_first(sent)
    recorded["ours"] = {"headers": out_headers["0"], "trace": first.trace, "span": first.id, "read": itself(first) in theirs_of_ours}
    # Ours, sent on by them with all headers.
    if library.file in JAVA:
        told = theirs(at, library, "pass", [out], f"{unique}-passes", 2 * COUNT)
        got, back_headers = run(receives(f"{out}-on"))
        yield f"ours, passed on by them{who}, received by us", len(sent), len(got), differ(
            (library.relation, {itself(span) for span in sent}, of_kind(told, "CONSUMER", 3)),
            ("parents of theirs", of_kind(told, "CONSUMER", 2), of_kind(told, "PRODUCER", 3)),
            ("parents of ours", of_kind(told, "PRODUCER", 2), {parent(span) for span in got}), ("spans", [COUNT], [len(got)]))
        first = at_first(got)
        recorded["passed_by_them"] = {"headers": back_headers["0"], "trace": first.trace, "span": first.parent}
    if record:
        (at["HERE"].parent / f"fixtures/others/{library.file}.json").write_text(json.dumps(recorded, indent=2) + "\n")
