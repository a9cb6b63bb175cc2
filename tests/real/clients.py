"""What programs see of a real Kafka, traced and untraced: the same steps by each way in, and every message compared with its spans.

`client.c` and `client.rs` do what they are told line by line, and answer with what a program sees: errors by name, how many messages
were delivered, a digest of what was received. The answers of a traced program have to be those of an untraced one, word for word.
"""

import collections
import concurrent.futures
import os
import re
import socket
import subprocess
import threading
import time

from read_back import otlp_file

FILE = """version = 1
[defaults]
export = ["right"]
ambient = "off"
[services.shop]
produces = ["*"]
[services.billing]
consumes = ["*"]
[backends.right]
plugin = "file"
config = {{ path = "{path}" }}
"""

GROUP = "group.id={g} auto.offset.reset=earliest enable.auto.commit=false"
EAGER = f"{GROUP} partition.assignment.strategy=range"
COOPERATIVE = f"{GROUP} partition.assignment.strategy=cooperative-sticky"
KIP_848 = f"{GROUP} group.protocol=consumer"


def rebalances(member):
    """One member, a second one that comes, and the first one that is left alone again."""
    sent = "send p {t} 200 10\nflush p 30000\n"
    return f"""
        producer p sticky.partitioning.linger.ms=0
        topic p {{t}} 4 1
        consumer a {member}
        subscribe a {{t}}
        balanced 4 60000 a
        {sent}receive 200 60000 a
        commit a
        consumer b {member}
        subscribe b {{t}}
        balanced 4 60000 a b
        {sent}receive 200 60000 a b
        commit a
        commit b
        close b
        balanced 4 60000 a
        {sent}receive 200 60000 a
        close a
        close p"""


STATIC = f"""
    producer p sticky.partitioning.linger.ms=0
    topic p {{t}} 4 1
    consumer a {EAGER} group.instance.id=one
    consumer b {EAGER} group.instance.id=two
    subscribe a {{t}}
    subscribe b {{t}}
    balanced 4 60000 a b
    send p {{t}} 200 10
    flush p 30000
    receive 200 60000 a b
    commit a
    commit b
    close a
    consumer again {EAGER} group.instance.id=one
    subscribe again {{t}}
    balanced 4 60000 again b
    send p {{t}} 200 10
    flush p 30000
    receive 200 60000 again b
    close again
    close b
    close p"""

TRANSACTIONS = f"""
    producer p transactional.id={{g}}
    topic p {{t}} 1 1
    topic p {{t}}-out 1 1
    init p
    begin p
    send p {{t}} 5 10
    end p
    begin p
    send p {{t}} 5 10
    flush p 30000
    abort p
    begin p
    send p {{t}} 3 10 - 0
    end p
    flush p 1000
    consumer committed group.id={{g}}-1 isolation.level=read_committed
    assign committed {{t}} 0
    receive 8 30000 committed
    receive 1 2000 committed
    consumer all group.id={{g}}-2 isolation.level=read_uncommitted
    assign all {{t}} 0
    receive 13 30000 all
    consumer in {EAGER} isolation.level=read_committed
    subscribe in {{t}}
    receive 8 60000 in
    begin p
    send p {{t}}-out 8 10
    offsets p in
    end p
    committed in {{t}} 1
    begin p
    offsets p in
    send p {{t}}-out 2 10
    abort p
    committed in {{t}} 1
    producer newer transactional.id={{g}}
    init newer
    begin p
    send p {{t}}-out 3 10
    end p
    flush p 1000
    send p {{t}}-out 1 10
    begin newer
    send newer {{t}}-out 2 10
    end newer
    flush newer 1000
    assign committed {{t}}-out 0
    receive 10 30000 committed
    close in
    close all
    close committed
    close newer
    close p"""

IDEMPOTENT = """
    producer p enable.idempotence=true linger.ms=0
    topic p {t} 1 1
    send p {t} 300 100
    !pause kafka-old
    send p {t} 300 100
    !sleep 3
    !resume kafka-old
    send p {t} 300 100
    flush p 60000
    consumer c group.id={g}
    assign c {t} 0
    receive 900 30000 c
    receive 1 1000 c
    close c
    close p"""

TOMBSTONES = """
    producer p
    topic p {t} 1 1
    send p {t} 3 10 one 0
    send p {t} 3 null one 0
    send p {t} 3 0 two 0
    send p {t} 3 0 - 0
    flush p 30000
    consumer c group.id={g}
    assign c {t} 0
    receive 12 30000 c
    close c
    close p"""



def codecs(*names):
    return "producer first\ntopic first {t} 1 1\n" + "".join(f"""
    producer {codec} compression.codec={codec} linger.ms=20
    send {codec} {{t}} 100 1000
    flush {codec} 30000
    close {codec}""" for codec in names) + f"""
    consumer c group.id={{g}}
    assign c {{t}} 0
    receive {100 * len(names)} 30000 c
    close c
    close first"""


# Around librdkafka's own limit of 1,000,000 bytes, of which it takes a few for itself.
SIZES = "producer p\ntopic p {t} 1 1\n" + "".join(
    f"send p {{t}} 1 {size} - 0\nflush p 30000\n"
    for size in (0, 1, 1000, 100_000, 999_000, 999_900, 999_930, 999_950, 999_970, 999_990, 1_000_000, 1_000_001, 2_000_000)
) + """
    consumer c group.id={g}
    assign c {t} 0
    receive 13 8000 c
    close c
    close p"""

STOPPED = """
    producer p message.timeout.ms=60000
    producer hasty message.timeout.ms=3000
    topic p {t} 1 1
    send p {t} 10 10 - 0
    send hasty {t} 10 10 - 0
    flush p 30000
    flush hasty 30000
    !stop kafka-old
    send p {t} 10 10 - 0
    send hasty {t} 10 10 - 0
    flush hasty 20000
    flush p 500
    !start kafka-old
    flush p 60000
    send hasty {t} 10 10 - 0
    flush hasty 20000
    consumer c group.id={g}
    assign c {t} 0
    receive 40 60000 c
    close c
    close hasty
    close p"""

PAUSED = STOPPED.replace("!stop", "!pause").replace("!start", "!resume")

LEADER = """
    producer p message.timeout.ms=60000 sticky.partitioning.linger.ms=0
    topic p {t} 4 2
    consumer c """ + EAGER + """
    subscribe c {t}
    send p {t} 200 10
    flush p 30000
    receive 200 60000 c
    !stop pair-2
    send p {t} 200 10
    flush p 60000
    receive 200 60000 c
    !start pair-2
    !stop pair-2
    !start pair-2
    send p {t} 200 10
    flush p 60000
    receive 200 60000 c
    close c
    close p"""


def secured(settings):
    return f"""
        producer p {settings}
        topic p {{t}} 1 1
        send p {{t}} 50 10 - 0
        flush p 30000
        consumer c group.id={{g}} {settings}
        assign c {{t}} 0
        receive 50 30000 c
        close c
        close p
        producer wrong {settings.replace('secret', 'guessed').replace('{authority}', '{other_authority}')} message.timeout.ms=3000
        send wrong {{t}} 5 10 - 0
        flush wrong 20000
        close wrong"""


SCRAM = "sasl.mechanism=SCRAM-SHA-256 sasl.username=alice sasl.password=secret"
TLS = "ssl.ca.location={authority}"

Scenario = collections.namedtuple("Scenario", "name at steps programs", defaults=[("c", "rust")])
SCENARIOS = [
    Scenario("a group that rebalances, eager", "KAFKA", rebalances(EAGER)),
    # librdkafka 2.0.2 hands messages over twice in such a group, without us too.
    Scenario("a group that rebalances, cooperative", "KAFKA", rebalances(COOPERATIVE), ("c-bundled", "rust")),
    Scenario("a group that rebalances, KIP-848", "KAFKA", rebalances(KIP_848), ("c-bundled", "rust")),
    Scenario("static members: one leaves and returns", "KAFKA", STATIC),
    Scenario("transactions: commit, abort, offsets; a fenced producer that goes on", "KAFKA", TRANSACTIONS),
    Scenario("an idempotent producer, its broker paused 3 s", "KAFKA_OLD", IDEMPOTENT),
    Scenario("tombstones, empty values, no key", "KAFKA", TOMBSTONES),
    Scenario("codecs: none, gzip, snappy, lz4", "KAFKA", codecs("none", "gzip", "snappy", "lz4")),
    Scenario("codec: zstd", "KAFKA", codecs("zstd"), ("c",)),
    Scenario("sizes: 0 to 2,000,000 bytes, at the limit byte by byte", "KAFKA", SIZES),
    Scenario("the broker stopped and started", "KAFKA_OLD", STOPPED),
    Scenario("the broker paused and resumed", "KAFKA_OLD", PAUSED),
    Scenario("two brokers, the leader moved twice", "PAIR", LEADER),
    # Before 2.6.1 librdkafka answers with a nonce that brokers refuse since Kafka 4.0: the one of the system may be older.
    Scenario("SASL/SCRAM, and a wrong password", "PAIR_SCRAM", secured(f"security.protocol=SASL_PLAINTEXT {SCRAM}"),
             ("c-bundled", "rust")),
    Scenario("TLS, and a wrong authority", "PAIR_TLS", secured(f"security.protocol=SSL {TLS}")),
    Scenario("SASL/SCRAM in TLS, and both wrong", "PAIR_BOTH", secured(f"security.protocol=SASL_SSL {SCRAM} {TLS}"),
             ("c-bundled", "rust")),
]


class Program:
    """A program that is told what to do, line by line."""

    def __init__(self, command, environment, log):
        self.log = open(log, "w+")
        self.process = subprocess.Popen([command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, **environment})

    def ask(self, line, limit=200):
        end = threading.Timer(limit, self.process.kill)
        end.start()
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        end.cancel()
        return answer or f"ended with {self.process.wait(60)}"

    def end(self):
        self.process.stdin.close()
        ended = self.process.wait(60)
        self.log.seek(0)
        return ended, self.log.read()


def is_open(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def servers(at, does, name):
    """`tests/real/servers stop NAME` and the like; a broker that is started is waited for."""
    subprocess.run([at["SERVERS"], does, name], check=True, stdout=subprocess.DEVNULL)
    if does == "start":
        address = {"kafka": at["KAFKA"], "kafka-old": at["KAFKA_OLD"], "pair-2": at["PAIR"].split(",")[1]}.get(name)
        end = time.monotonic() + 90
        while address and not is_open(address) and time.monotonic() < end:
            time.sleep(0.2)
        time.sleep(3)  # It is in the cluster a little later than its port is open; leaders go back to where they were.


def run(at, scenario, program, environment, folder, names):
    """The answers to the steps, how the program ended, and what it wrote to standard error."""
    plain = at["PAIR" if scenario.at.startswith("PAIR") else scenario.at]
    told = Program(at["PROGRAMS"][program], {"KAFKA": at[scenario.at], "KAFKA_PLAIN": plain, **environment}, folder / "log")
    answers = []
    for step in filter(None, (line.strip() for line in scenario.steps.splitlines())):
        step = step.format(**names)
        if step.startswith("!sleep"):
            time.sleep(int(step.split()[1]))
        elif step.startswith("!"):
            servers(at, *step[1:].split())
        else:
            answers.append((step, told.ask(step)))
            if answers[-1][1].startswith("ended"):
                break
    return answers, *told.end()


def counts(answers):
    """What the answers say was delivered, failed, and received."""
    delivered = failed = received = 0
    for step, answer in answers:
        if step.startswith("flush"):
            words = answer.split()
            at = words.index("delivered")
            delivered += int(words[at + 1])
            failed += sum(int(count) for count in words[at + 3 :: 2])
        if step.startswith("receive"):
            received += int(answer.split()[1])
    return delivered, failed, received


def spans_against(answers, path, log):
    """What of the spans is not what the program saw. Messages that went out without a context are told, and their traces end."""
    told = re.search(r"(\d+) messages went out without a context header", log)
    may_be_alone = int(told[1]) if told else 0
    spans = otlp_file(path)
    place = lambda span: tuple(span.tags.get(f"messaging.{key}") for key in  # noqa: E731
                               ("destination.name", "destination.partition.id", "kafka.offset"))
    sent = [span for span in spans if span.kind == "producer"]
    got = [span for span in spans if span.kind == "consumer"]
    delivered, failed, received = counts(answers)
    found = []
    for what, want, have in (("delivered", delivered, sum(not span.error for span in sent)),
                             ("failed", failed, sum(span.error for span in sent)), ("received", received, len(got))):
        if want != have:
            found.append(f"{have} spans of {want} messages {what}")
    if len({span.id for span in spans}) != len(spans):
        found.append("an id is there twice")
    of = {place(span): span for span in sent if not span.error}
    # What a producer gave up, a broker may have taken: such a message has the failed span for its parent.
    given_up = {span.id: span for span in sent if span.error}
    for span in got:
        parent = of.get(place(span)) or given_up.get(span.parent)
        if parent and not span.parent and may_be_alone:
            may_be_alone -= 1
        elif not parent or (parent.trace, parent.id) != (span.trace, span.parent):
            found.append(f"{span.name}: not the child of what sent it")
    return len(sent), len(got), found


def rows_of(at, folder, index, scenario):
    """A row for each way in: scenario, program, way, spans sent and received, what is wrong."""
    done = []
    for program in scenario.programs:
        library = str(at["LIBRARY"])
        untraced, ways = ({"UNTRACED": "1"}, {"Rust": {}}) if program == "rust" else \
            ({}, {"by property": {"PLUGIN": library}, "preloaded": {"LD_PRELOAD": library}})
        right = None
        for way, environment in {"untraced": untraced, **ways}.items():
            unique = f"{index}-{program}-{way.replace(' ', '-')}"
            here = folder / unique
            here.mkdir()
            unique = f"real-{os.getpid()}-{unique}"
            file = here / "tracing.toml"
            file.write_text(FILE.format(path=here / "spans.jsonl"))
            names = {"t": unique, "g": f"g-{unique}", "authority": at["AUTHORITY"],
                     "other_authority": at["AUTHORITY"].replace("ca.pem", "other-ca.pem")}
            if way != "untraced":
                environment = {**environment, "INTERCEPTORS_CONFIG_FILE": str(file)}
            environment = {**at["ENVIRONMENT"].get(program, {}), **environment}
            answers, ended, log = run(at, scenario, program, environment, here, names)
            (here / "answers").write_text("".join(f"{answer:60} {step}\n" for step, answer in answers))
            said = [answer.replace(unique, "") for _, answer in answers] + [f"ended with {ended}"]
            if way == "untraced":
                right = said
                continue
            sent, got, found = spans_against(answers, here / "spans.jsonl", log)
            for want, have, (step, _) in zip(right, said, answers + [("the end", "")]):
                if want != have:
                    found.append(f"`{step.replace(unique, 'T')}` is answered `{have}`, untraced `{want}`")
            found += [line for line in log.splitlines()
                      if re.search("tracer.*(WARN|ERROR)|panick", line) and "without a context header" not in line]
            done.append((scenario, program, way, sent, got, found))
    return done


ORDERS = """
import sys
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
kafka, prefix, count = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": kafka})
made = admin.create_topics([NewTopic(prefix + name, 1, 1) for name in ("orders", "payments")])
[topic.result() for topic in made.values()]
orders = Producer({"bootstrap.servers": kafka})
for number in range(int(count)):
    orders.produce(prefix + "orders", b"order %d" % number)
assert orders.flush(30) == 0
"""


def quix(at, folder):
    """A pipeline of Quix Streams, as it is, with the layer for Python: its receives and sends, and what is not right."""
    prefix, orders = f"quix-{os.getpid()}-", 10
    python = at["FOLDER"] / "others/quix/bin/python"
    subprocess.run([python, "-c", ORDERS, at["KAFKA"], prefix, str(orders)], check=True)
    spans = folder / "quix.jsonl"
    (folder / "quix.toml").write_text(FILE.format(path=spans).replace('ambient = "off"', 'message_key = "plain"'))
    layer = at["HERE"].parents[1] / "resolver/librdkafka/python/tracer_interceptors/start"
    traced = {"LD_PRELOAD": str(at["LIBRARY"]), "PYTHONPATH": str(layer), "INTERCEPTORS_CONFIG_FILE": str(folder / "quix.toml")}
    program = [python, at["HERE"].parent / "python/quix_app.py", prefix]
    ended = subprocess.run(program, env={**os.environ, "KAFKA": at["KAFKA"], **traced}, capture_output=True, text=True, timeout=180)
    found = [f"ended with {ended.returncode}: {ended.stderr[-300:]}"] if ended.returncode or "tracer-" in ended.stderr else []
    got = otlp_file(spans)
    processed = {span.id: span.tags["messaging.kafka.offset"] for span in got if span.name == f"process {prefix}orders"}
    sent = [span for span in got if span.name == f"send {prefix}payments"]
    wrong = [span for span in sent if span.parent and f"paid order {processed.get(span.parent)}" != span.tags["messaging.kafka.message.key"]]
    # Where one was left out before it, nothing shows yet that the first does not follow from several.
    roots = [span.tags["messaging.kafka.message.key"] for span in sent if not span.parent]
    found += ["not below its order"] * len(wrong) + ([] if roots in ([], ["paid order 0"], ["paid order 2"]) else [f"no parent: {roots}"])
    return len(sent), len(processed), found + ([] if (len(sent), len(processed)) == (orders // 2, orders) else ["not all are there"])


def rows(at, folder, only):
    """The rows of all scenarios: those that leave the brokers alone at the same time, the others after them."""
    chosen = [(index, scenario) for index, scenario in enumerate(SCENARIOS) if not only or any(text in scenario.name for text in only)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        calm = {index: pool.submit(rows_of, at, folder, index, scenario) for index, scenario in chosen if "!" not in scenario.steps}
        for index, scenario in chosen:
            if index in calm:
                yield from calm[index].result()
    for index, scenario in chosen:
        if index not in calm:
            yield from rows_of(at, folder, index, scenario)
