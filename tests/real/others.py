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
    Library("Brave {brave}, kafka-clients {Kafka}", "brave", ["b3"]),
    Library("OpenTelemetry Python {python}, confluent-kafka {confluent}", "python", W3C, "links"),
    Library("OpenTelemetry JS {js}, kafkajs {kafkajs}", "javascript"),
    Library("kotel {kotel}, franz-go {franz}", "kotel"),
]
FILE = """version = 1
[services.ours]
topics = ["*"]
export = ["right"]
propagators = {{ inject = {inject} }}
[backends.right]
plugin = "file"
config = {{ path = "{path}" }}
"""


def java(at, library, service):
    """How a JVM is called that sends or receives."""
    folder = at["FOLDER"]
    agent = [f"-javaagent:{next((folder / 'others').glob('opentelemetry-javaagent-*.jar'))}", f"-Dotel.service.name={service}",
             f"-Dotel.exporter.otlp.endpoint={at['COLLECTOR_OTLP']}", "-Dotel.exporter.otlp.protocol=http/protobuf",
             "-Dotel.metrics.exporter=none", "-Dotel.logs.exporter=none"]
    jars = [str(folder / f"kafka-{at['VERSIONS']['Kafka']}/*"), *map(str, (folder / "others").glob("brave*.jar"))]
    # Compiled before: what `java` runs from its source is not seen by the agent.
    classes = folder / "others/classes"
    subprocess.run(["javac", "-cp", ":".join(jars), "-d", classes, at["HERE"] / "Others.java"], check=True)
    return ["java", *(agent if library.file == "java_agent" else []), "-cp", ":".join([*jars, str(classes)]), "Others", library.file]


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
        word = {"parents": "span", "links": "link"}[library.relation if does == "receive" else "parents"]
        return [of[word](*line[1:]) for line in lines if line[0] == word]
    end = time.monotonic() + 20
    while True:
        spans = [span for span in otlp_file(at["COLLECTOR_SPANS"]) if span.service == service]
        if len(spans) >= COUNT or time.monotonic() > end:
            return [(span.kind.upper(), span.trace, span.id, span.parent) for span in spans]
        time.sleep(1)


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


def receives(topic):
    return [f"consumer c group.id=g-{topic}", f"assign c {topic} 0", f"receive {COUNT} 30000 c", "close c"]


def rows(at, folder, record):
    for library in LIBRARIES:
        unique = f"others-{os.getpid()}-{library.file}"
        name = library.name.format(**at["VERSIONS"])
        ours(at, library, folder / f"{unique}-topic", ["producer p", f"topic p {unique}-in 1 1", "close p"], False)
        # Theirs to us.
        right = {(trace, span) for kind, trace, span, _ in theirs(at, library, "send", f"{unique}-in", f"{unique}-sends") if kind == "PRODUCER"}
        got, headers = ours(at, library, folder / f"{unique}-in", receives(f"{unique}-in"), True)
        parents = {(span.trace, span.parent) for span in got}
        yield name, "theirs, received by us", len(right), len(got), \
            [] if parents == right and len(got) == len(right) == COUNT else [f"parents {sorted(parents)}, not {sorted(right)}"]
        first = next(span for span in got if span.tags["messaging.kafka.offset"] == "0")
        theirs_recorded = {"headers": headers["0"], "trace": first.trace, "span": first.parent}
        # Ours to them.
        steps = ["producer p", f"topic p {unique}-out 1 1", f"send p {unique}-out {COUNT} 9 key 0", "flush p 30000", "close p"]
        sent, _ = ours(at, library, folder / f"{unique}-out", steps, True)
        right = {(span.trace, span.id) for span in sent}
        read = {(trace, parent) for kind, trace, _, parent in theirs(at, library, "receive", f"{unique}-out", f"{unique}-receives") if kind == "CONSUMER"}
        yield name, f"ours, received by them{', who link to them' if library.relation == 'links' else ''}", len(right), len(read), \
            [] if read == right and len(sent) == COUNT else [f"{library.relation} {sorted(map(str, read))}, not {sorted(right)}"]
        _, headers = ours(at, library, folder / f"{unique}-wire", receives(f"{unique}-out"), False)
        span = next(span for span in sent if span.tags["messaging.kafka.offset"] == "0")
        recorded = {"library": name, "inject": library.inject, "theirs": theirs_recorded,
                    "ours": {"headers": headers["0"], "trace": span.trace, "span": span.id, "read": (span.trace, span.id) in read}}
        if record:
            (at["HERE"].parent / f"fixtures/others/{library.file}.json").write_text(json.dumps(recorded, indent=2) + "\n")
