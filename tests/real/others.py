"""Other people's instrumentations, both ways: their message is the parent of what we receive, ours of what they receive.

`record` writes the headers that were on the wire, byte for byte, and what their owners say of their spans: `tests/header_formats.rs`
reads that again in every run of the ordinary tests.
"""

import collections
import json
import os
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


def java(at, library, service):
    """How a JVM is called that sends or receives."""
    folder = at["FOLDER"]
    kafka = folder / f"kafka-{at['VERSIONS']['Kafka']}"
    with_it = {of: folder / f"others/{of}-{at['VERSIONS'][of]}" for of in ("brave", "library", "opentracing")}
    # Compiled before: what `java` runs from its source is not seen by the agent.
    classes = folder / "others/classes"
    subprocess.run(["javac", "-cp", ":".join(f"{one}/*" for one in (kafka, *with_it.values())), "-d", classes, at["HERE"] / "Others.java"], check=True)
    jars = {"java_agent": [kafka], "java_library": [kafka, with_it["library"]], "java_2019": [with_it["opentracing"]],
            "brave": [kafka, with_it["brave"]]}[library.file]
    return ["java", *(agent(at, service) if library.file == "java_agent" else []),
            "-cp", ":".join([*(f"{one}/*" for one in jars), str(classes)]), "Others", library.file]


def theirs(at, library, does, topic, service):
    """A program of theirs that sends or receives; what it tells of its spans: kind, trace, id, parent; of one that is linked, in place
    of its own, the trace of the other one, and that one for its parent."""
    folder = at["FOLDER"] / "others"
    command = {"python": [folder / "python/bin/python", at["HERE"] / "others_python.py"], "javascript": ["node", at["HERE"] / "others.js"],
               "kotel": [folder.parent / "bin/kotel"]}.get(library.file) or java(at, library, service)
    told = subprocess.run([*command, does, at["KAFKA"], topic, str(COUNT)], capture_output=True, text=True, timeout=180,
                          env={**os.environ, "OTHERS": str(folder / "node")})
    if told.returncode:
        raise SystemExit(f"{library.name}: {told.stderr[-3000:]}")
    if library.file != "java_agent":
        lines = [line.split() for line in told.stdout.splitlines()]
        of = {"span": lambda kind, trace, span, parent="": (kind, trace, span, parent), "link": lambda kind, trace, span: (kind, trace, "", span)}
        word = "link" if library.relation == "links" and does == "receive" else "span"
        return [of[word](*line[1:]) for line in lines if line[0] == word]
    spans = agent_spans(at, service, lambda spans: len(spans) >= COUNT)
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


def passed_on(at, library, folder, unique, sent, came):
    """Their messages, which our program receives one by one, and for each sends one that they receive; `came` is what headers theirs had."""
    steps = ["producer p", f"topic p {unique}-on 1 1", f"consumer c group.id=on-{unique}", f"assign c {unique}-in 0"]
    steps += ["receive 1 30000 c", f"send p {unique}-on 1 9 key 0", "flush p 30000"] * COUNT + ["close c", "close p"]
    spans, _ = ours(at, library, folder / f"{unique}-on", steps, True)
    received, sends = ([span for span in spans if span.kind == kind] for kind in ("consumer", "producer"))
    read = {(trace, parent) for kind, trace, _, parent in theirs(at, library, "receive", f"{unique}-on", f"{unique}-ends") if kind == "CONSUMER"}
    _, headers = ours(at, library, folder / f"{unique}-goes", receives(f"{unique}-on"), False)
    found = []
    for what, right, got in [
        ("parents of what we received", sent, {(span.trace, span.parent) for span in received}),
        ("parents of what we sent", {(span.trace, span.id) for span in received}, {(span.trace, span.parent) for span in sends}),
        (library.relation, {(span.trace, span.id) for span in sends}, read),
        ("baggage", *([header for header in of["0"] if header[0] == "baggage"] for of in (came, headers))),
    ]:
        found += [f"{what} {sorted(map(str, got))}, not {sorted(map(str, right))}"] * (got != right)
    return f"theirs, passed on by us, received by them{WHO[library.relation]}", len(sent), len(read), found


def rows(at, folder, only, record):
    named = [(library, library.name.format(**at["VERSIONS"])) for library in LIBRARIES]
    for library, name in named:
        if only and not any(text in name for text in only):
            continue
        unique = f"others-{os.getpid()}-{library.file}"
        ours(at, library, folder / f"{unique}-topic", ["producer p", f"topic p {unique}-in 1 1", "close p"], False)
        # Theirs to us.
        came = {(trace, span) for kind, trace, span, _ in theirs(at, library, "send", f"{unique}-in", f"{unique}-sends") if kind == "PRODUCER"}
        got, theirs_headers = ours(at, library, folder / f"{unique}-in", receives(f"{unique}-in"), True)
        parents = {(span.trace, span.parent) for span in got}
        yield name, "theirs, received by us", len(came), len(got), \
            [] if parents == came and len(got) == len(came) == COUNT else [f"parents {sorted(parents)}, not {sorted(came)}"]
        first = next(span for span in got if span.tags["messaging.kafka.offset"] == "0")
        theirs_recorded = {"headers": theirs_headers["0"], "trace": first.trace, "span": first.parent}
        # Ours to them.
        steps = ["producer p", f"topic p {unique}-out 1 1", f"send p {unique}-out {COUNT} 9 key 0", "flush p 30000", "close p"]
        sent, _ = ours(at, library, folder / f"{unique}-out", steps, True)
        right = {(span.trace, span.id) for span in sent}
        read = {(trace, parent) for kind, trace, _, parent in theirs(at, library, "receive", f"{unique}-out", f"{unique}-receives") if kind == "CONSUMER"}
        yield name, f"ours, received by them{WHO[library.relation]}", len(right), len(read), \
            [] if read == right and len(sent) == COUNT else [f"{library.relation} {sorted(map(str, read))}, not {sorted(right)}"]
        _, headers = ours(at, library, folder / f"{unique}-wire", receives(f"{unique}-out"), False)
        span = next(span for span in sent if span.tags["messaging.kafka.offset"] == "0")
        recorded = {"library": name, "inject": library.inject, "theirs": theirs_recorded,
                    "ours": {"headers": headers["0"], "trace": span.trace, "span": span.id, "read": (span.trace, span.id) in read}}
        yield name, *passed_on(at, library, folder, unique, came, theirs_headers)
        if record:
            (at["HERE"].parent / f"fixtures/others/{library.file}.json").write_text(json.dumps(recorded, indent=2) + "\n")
