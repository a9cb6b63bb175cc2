"""MirrorMaker 2 copies a topic from one cluster to another: whose child is what we receive there?

Our program sends to Kafka 3.9 and receives from Kafka 4. In between is MirrorMaker without an agent; with OpenTelemetry's Java agent; and
with that agent told to leave the headers alone. What the agent says of its spans is read at the Collector.
"""

import collections
import os
import subprocess

from others import COUNT, Library, agent, agent_spans, itself, ours, parent, receives, sends

# The first cluster has another name for each, and so none of them reads what the others keep there.
Between = collections.namedtuple("Between", "alias name options", defaults=[None])
ALL = [
    Between("plain", "MirrorMaker {Kafka}"),
    Between("agent", "MirrorMaker {Kafka}, OpenTelemetry Java agent {agent}", []),
    Between("leaves", "MirrorMaker {Kafka}, OpenTelemetry Java agent {agent}, `producer-propagation` off",
            ["-Dotel.instrumentation.kafka.producer-propagation.enabled=false"]),
]
SEEN = [
    "", "Baggage is compared too, where theirs writes the header `baggage`. Jaeger's own (`uberctx-…`) is not passed on by us.", "",
    "The agent in MirrorMaker reads our message: its `process` is a child of our send. Where it sends the copy it begins a new trace,",
    "without a link, and puts its own `traceparent` in place of ours; the way of the message is then two traces. With",
    "`-Dotel.instrumentation.kafka.producer-propagation.enabled=false` it leaves the header, and the way is one trace.",
]
PROPERTIES = """clusters = {alias}, second
{alias}.bootstrap.servers = {first}
second.bootstrap.servers = {second}
{alias}->second.enabled = true
{alias}->second.topics = {topic}
second->{alias}.enabled = false
emit.heartbeats.enabled = false
emit.checkpoints.enabled = false
replication.factor = 1
heartbeats.topic.replication.factor = 1
checkpoints.topic.replication.factor = 1
offset-syncs.topic.replication.factor = 1
config.storage.replication.factor = 1
offset.storage.replication.factor = 1
status.storage.replication.factor = 1
"""


def started(at, between, folder, topic):
    file = folder / f"{topic}.properties"
    file.write_text(PROPERTIES.format(alias=between.alias, first=at["KAFKA_OLD"], second=at["KAFKA"], topic=topic))
    jars = at["FOLDER"] / f"others/mirror-{at['VERSIONS']['Kafka']}"
    with open(folder / f"{topic}.log", "w") as log:
        return subprocess.Popen(
            ["timeout", "300", "java", *([] if between.options is None else [*agent(at, topic), *between.options]), "-Xmx512m",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*", "org.apache.kafka.connect.mirror.MirrorMaker", file,
             "--clusters", "second"], stdout=log, stderr=subprocess.STDOUT)


def by_offset(spans, tag, told):
    """What each message's span tells, by the message's offset: a copy has that of the message."""
    return {span.tags[tag]: told(span) for span in spans}


def by_agent(spans, kind, topic, told):
    chosen = [span for span in spans if span.kind == kind and span.tags.get("messaging.destination.name") == topic]
    return by_offset(chosen, "messaging.kafka.message.offset", told)


def row(at, between, folder, topic, sent):
    """What we receive of the copies, compared with what its parents say of themselves."""
    copy = f"{between.alias}.{topic}"
    got, headers = ours(at, Library("", ""), folder / f"{topic}-in", receives(copy, 120_000), True)
    received = by_offset(got, "messaging.kafka.offset", parent)
    right, found, seen = sent, [], ""
    if between.options is not None:
        spans = agent_spans(at, topic, lambda spans: COUNT == len(by_agent(spans, "producer", copy, itself)) == len(by_agent(spans, "consumer", topic, parent)))
        read, written = by_agent(spans, "consumer", topic, parent), by_agent(spans, "producer", copy, itself)
        found += [f"the agent's parents {read}, not {sent}"] * (read != sent)
        if not between.options:
            right = written
            same = sum(written.get(offset, [""])[0] == trace for offset, (trace, _) in sent.items())
            seen = f" below the agent's send, {same} of {COUNT} in the trace of ours"
    found += [f"parents {received}, not {right}"] * (received != right)
    found += [f"{len(got)} spans"] * (len(got) != COUNT) + [f"headers {headers}"] * (len(headers) != COUNT)
    way = f"ours, copied from Kafka {at['VERSIONS']['Kafka 3']} to {at['VERSIONS']['Kafka']}, received by us{seen}"
    return between.name.format(**at["VERSIONS"]), way, len(sent), len(got), found


def rows(at, folder, only):
    chosen = [between for between in ALL if not only or any(text in between.name.format(**at["VERSIONS"]) for text in only)]
    running = []
    try:
        for between in chosen:
            topic = f"mirror-{os.getpid()}-{between.alias}"
            spans, _ = ours({**at, "KAFKA": at["KAFKA_OLD"]}, Library("", ""), folder / f"{topic}-out", sends(topic), True)
            running.append((between, topic, by_offset(spans, "messaging.kafka.offset", itself), started(at, between, folder, topic)))
        for between, topic, sent, _ in running:
            yield row(at, between, folder, topic, sent)
    finally:
        for *_, process in running:
            process.terminate()
        for *_, process in running:
            process.wait()
