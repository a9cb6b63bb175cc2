"""What tracing costs a whole program: the same programs with and without it, in C, Rust and Python, by all ways in.

    python3 run.py [--messages N] [--rounds N] [--only TEXT]… [--loads all] [--rate N] [--kafka HOST:PORT] [--results FILE]

The ways take turns. Each run has a cluster and a collector of its own, in another process, whose cost is not counted.
Fails when a span of ours does not arrive. README.md says what is measured.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# As `tracer-interceptors run` runs a Python program.
LAYER = ROOT / "resolver/librdkafka/python/tracer_interceptors/start"

# `program`: c, rust or python. `how`: what the program does itself: nothing, a header, or spans by hand. `door`: how the
# library comes in. `file`: what our file says of the service. `spans`: how many of a message must arrive; None is any number.
Way = collections.namedtuple("Way", "name program how door file spans")
SAMPLED_OUT, ONE_PERCENT = "sampler = 'always_off'", "sampler = { ratio = 0.01 }"
WAYS = [
    Way("C, untraced", "c", "nothing", None, None, 0),
    Way("C, its own header", "c", "header", None, None, 0),
    Way("C, ours by property", "c", "nothing", "property", "", 2),
    Way("C, ours by property, sampled out", "c", "nothing", "property", SAMPLED_OUT, 0),
    Way("C, ours by property, 1 % sampled", "c", "nothing", "property", ONE_PERCENT, None),
    Way("C, ours by property, `propagate`", "c", "nothing", "property", "trace = 'propagate'", 0),
    Way("C, ours by preload", "c", "nothing", "preload", "", 2),
    Way("Rust, untraced", "rust", "untraced", None, None, 0),
    Way("Rust, its own header", "rust", "header", None, None, 0),
    Way("Rust, ours", "rust", "ours", "crate", "", 2),
    Way("Rust, ours, sampled out", "rust", "ours", "crate", SAMPLED_OUT, 0),
    Way("Rust, OpenTelemetry's SDK by hand", "rust", "sdk", None, None, None),
    Way("Rust, fastrace by hand", "rust", "fastrace", None, None, None),
    Way("Python, untraced", "python", "nothing", None, None, 0),
    Way("Python, its own header", "python", "header", None, None, 0),
    Way("Python, ours by preload", "python", "nothing", "preload", "", 2),
    Way("Python, ours, the task followed", "python", "nothing", "layer", "", 2),
    Way("Python, OpenTelemetry's instrumentation", "python", "opentelemetry", None, None, None),
]
BASELINE = "its own header"

# Who does what: `both` is one process that sends and consumes; `apart` two, of which each is measured.
Load = collections.namedtuple("Load", "who bytes partitions")
MAIN = Load("both", 100, 8)
LOADS = [MAIN, Load("both", 1000, 8), Load("both", 100, 1), Load("apart", 100, 8)]


def main():
    options = parsed_options()
    ways = chosen(options)
    build(ways, options)
    tables = []
    for load in LOADS if options.loads == "all" else [MAIN]:
        # The other programs are one process.
        of_load = ways if load.who == "both" else [way for way in ways if way.program == "c"]
        runs = {way: [] for way in of_load}
        for number in range(options.rounds):
            # No way is always the first, when the machine may be cooler.
            first = number % len(of_load)
            for way in of_load[first:] + of_load[:first]:
                runs[way].append(run(way, load, options))
                print(f"{load}: round {number + 1}: {way.name}: {runs[way][-1]}", file=sys.stderr)
        tables.append(f"{title(load)}\n\n{table(runs, load, options.messages)}")
        if load == MAIN and any(way.program == "c" for way in ways):
            tables.append(f"### By thread, in C\n\n{thread_table(runs, options.messages)}")
    text = "\n\n".join(tables)
    print(text)
    if options.results:
        options.results.write_text(f"{heading(options)}\n{text}\n")
    if options.lost:
        sys.exit("\n".join(options.lost))


def parsed_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--messages", type=int, default=1_000_000, help="of a run (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="of all ways (default: %(default)s)")
    options.add_argument("--only", action="append", default=[], help="the ways whose names contain this; several count together")
    options.add_argument("--loads", choices=["main", "all"], default="main", help="1 KB, one partition and two processes too")
    options.add_argument("--queue", default="512MiB", help="our queue_bytes (default: %(default)s)")
    options.add_argument("--rate", type=int, default=0, help="messages that C and Python try a second (default: as many as go)")
    options.add_argument("--kafka", help="HOST:PORT of a Kafka to take instead of librdkafka's own for tests")
    options.add_argument("--results", type=pathlib.Path, help="writes the tables there too, with what they are of")
    options.add_argument("--quick", action="store_true", help="a round of 5000 messages, without Rust: to see that it works")
    options.add_argument("--built", type=pathlib.Path, help="takes what is built in that folder; without it, it is built first")
    options.add_argument("--playground", type=pathlib.Path, help="where it is, if not in `examples` of what is built")
    options.add_argument("--environment", type=pathlib.Path, default=BUILT / "foreign/bench", help="Python's: made if need be")
    options.add_argument("--measure", help=argparse.SUPPRESS)
    options.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.measure:
        measure(options.measure, options.command)
        sys.exit()
    if options.quick:
        options.messages, options.rounds = 5_000, 1
    options.lost = []
    return options


def chosen(options):
    ways = [way for way in WAYS if not options.only or any(text in way.name for text in options.only)]
    if options.quick:
        ways = [way for way in ways if way.program != "rust"]
    # What is compared with counts for each language.
    kept = {way.program for way in ways}
    return [way for way in WAYS if way in ways or way.program in kept and BASELINE in way.name]


def build(ways, options):
    """What the ways need."""
    programs = {way.program for way in ways}
    if not options.built:
        options.built = BUILT / "release"
        cargo = ["cargo", "build", "--locked", "--release", "--target-dir", BUILT, "--manifest-path"]
        ours = ["tracer-resolver-contracts", "tracer-resolver-librdkafka", "tracer-plugin-otlp"]
        packages = [word for package in ours for word in ("-p", package)]
        subprocess.run([*cargo, ROOT / "Cargo.toml", *packages, "--lib", "--example", "playground"], check=True)
        if "rust" in programs:
            subprocess.run([*cargo, HERE / "rust/Cargo.toml"], check=True)
    if "c" in programs:
        options.program = options.built / "whole-program-c"
        words = ["-O2", "-Wall", "-Wextra", HERE / "program.c", "-o", options.program, "-lrdkafka", "-lpthread"]
        subprocess.run(["cc", *words], check=True)
    if "python" in programs or options.kafka:
        options.python = python_of(options.environment)


def python_of(folder):
    """The Python of an environment with the requirements."""
    python, made = folder / "bin/python", folder / "made"
    wanted = (HERE / "requirements.txt").read_text()
    if folder.exists() and not made.exists() and folder != BUILT / "foreign/bench":
        sys.exit(f"{folder} is somebody else's: name a folder that is not there, or leave the option out")
    if not made.exists() or made.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
        made.write_text(wanted)
    return python


def run(way, load, options):
    """One run: what each process used, and the spans that arrived."""
    size = [str(options.messages), str(load.bytes), str(load.partitions)]
    library = options.built / "libtracer_interceptors.so"
    header = "1" if way.how == "header" else "0"
    if way.program == "c":
        plugin = str(library) if way.door == "property" else "-"
        roles = ["both"] if load.who == "both" else ["consume", "produce"]
        commands = [[options.program, role, *size, plugin, header] for role in roles]
    elif way.program == "rust":
        commands = [[options.built / "whole-program", way.how, *size]]
    else:
        program = [HERE / "program.py", *size, header]
        if way.how == "opentelemetry":
            program = [HERE / "with_opentelemetry.py", *program]
        commands = [[options.python, *program]]
    topic = f"bench-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # Set for the programs only: the playground is not to be traced.
        variables = {"TOPIC": topic, "FIGURES": folder / "program"}
        if options.rate:
            variables["RATE"] = options.rate
        if options.kafka:
            variables["KAFKA"] = options.kafka
            make_topic(topic, load.partitions, options)
        if way.how in ("sdk", "fastrace", "opentelemetry"):
            variables["OTEL_SERVICE_NAME"] = "bench"
        if way.door:
            (folder / "tracing.toml").write_text((HERE / "tracing.toml").read_text() + way.file + "\n")
            variables |= {"INTERCEPTORS_CONFIG_FILE": folder / "tracing.toml", "QUEUE": options.queue}
        if way.door in ("preload", "layer"):
            variables["LD_PRELOAD"] = library
        if way.door == "layer":
            variables["PYTHONPATH"] = LAYER
        variables = {name: str(value) for name, value in variables.items()}
        (folder / "commands").write_text(json.dumps([[str(word) for word in command] for command in commands]))
        (folder / "variables").write_text(json.dumps(variables))
        playground = [options.playground or options.built / "examples/playground", "--quiet", "--topic", f"{topic}:{load.partitions}", "--"]
        ran = subprocess.run(
            [*playground, sys.executable, __file__, "--measure", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if ran.returncode != 0:
            sys.exit(f"{way.name} failed:\n{ran.stdout}{ran.stderr}")
        # What a tracer says of itself belongs to the figures: spans that it lost, most of all.
        sys.stderr.write(ran.stderr)
        arrived = int(re.findall(r"^(\d+) spans? in ", ran.stdout, re.MULTILINE)[-1])
        figures = json.loads((folder / "figures").read_text())
        lines = [line.split() for line in (folder / "program").read_text().splitlines()]
    figures["rate"] = round(options.messages / float(lines[0][1]))
    figures["threads"] = [(" ".join(line[1:-1]), float(line[-1])) for line in lines if line[0] == "thread"]
    figures["spans"] = arrived
    if way.spans is not None and arrived != way.spans * options.messages:
        options.lost.append(f"{way.name}: of {way.spans * options.messages} spans {arrived} arrived")
    return figures


def make_topic(name, partitions, options):
    # The client is kept until all is made: it takes with it what is in hand.
    words = (
        "import sys; from confluent_kafka.admin import AdminClient, NewTopic as T; "
        "client = AdminClient({'bootstrap.servers': sys.argv[1]}); "
        "[made.result() for made in client.create_topics([T(sys.argv[2], int(sys.argv[3]), 1)]).values()]"
    )
    subprocess.run([options.python, "-c", words, options.kafka, name, str(partitions)], check=True)


def measure(folder, _):
    """Runs the programs, the later ones reading what the one before writes, and writes what each used from its start to its end."""
    folder = pathlib.Path(folder)
    variables = {**os.environ, **json.loads((folder / "variables").read_text())}
    running, source = [], None
    commands = json.loads((folder / "commands").read_text())
    for command in commands:
        last = command is commands[-1]
        running.append(subprocess.Popen(command, env=variables, stdin=source, stdout=None if last else subprocess.PIPE))
        source = running[-1].stdout
    cpu, memory = [], []
    for process in running:
        _, status, used = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{process.args}: status {status}")
        cpu.append(used.ru_utime + used.ru_stime)
        memory.append(used.ru_maxrss // 1024)
    (folder / "figures").write_text(json.dumps({"cpu": cpu, "memory": memory}))


def title(load):
    partitions = "1 partition" if load.partitions == 1 else f"{load.partitions} partitions"
    who = "one process sends and consumes" if load.who == "both" else "one process sends, another consumes"
    return f"### {load.bytes} bytes, {partitions}, {who}"


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}} – {max(values):{form}})"


def micros(values, messages):
    return [value / messages * 1e6 for value in values]


def table(runs, load, messages):
    """A row a way. What is above the baseline is so in each round, and then the median of that is taken."""
    who = [("CPU µs a message", 0)] if load.who == "both" else [("sends: CPU µs a message", 1), ("consumes: CPU µs a message", 0)]
    head = ["way"]
    for name, _ in who:
        head += [name, "above its own header"]
    head += ["messages/s, of the header's", "peak MiB", "spans arrived"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way, of_way in runs.items():
        base = next(of_base for other, of_base in runs.items() if other.program == way.program and BASELINE in other.name)
        cells, noisy = [way.name], False
        for _, process in who:
            own = micros([run["cpu"][process] for run in of_way], messages)
            above = [mine - theirs for mine, theirs in zip(own, micros([run["cpu"][process] for run in base], messages))]
            cells += [spread(own, ".2f"), "" if BASELINE in way.name else spread(above, "+.2f")]
            noisy |= max(own) - min(own) > statistics.median(own) / 5
        ratios = [mine["rate"] / theirs["rate"] for mine, theirs in zip(of_way, base)]
        cells.append(spread(ratios, ".2f"))
        cells.append(" and ".join(str(max(of)) for of in zip(*(run["memory"] for run in of_way))))
        arrived = statistics.median(run["spans"] for run in of_way)
        cells.append(f"{arrived:,.0f}")
        cells[0] += " (noisy)" if noisy else ""
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def thread_table(runs, messages):
    """µs a message of the threads that live when the loops are over, by who made them."""
    groups = [
        ("the application's two", r"produces|consumes"),
        ("librdkafka's", r"rdk:.*"),
        ("batch", r"tr-batch"),
        ("export", r"tr-collector"),
    ]
    lines = [f"| way | {' | '.join(name for name, _ in groups)} |", "|---" * (len(groups) + 1) + "|"]
    for way, of_way in runs.items():
        if way.program != "c":
            continue
        cells = [way.name]
        for _, pattern in groups:
            used = [sum(cpu for name, cpu in run["threads"] if re.fullmatch(pattern, name)) for run in of_way]
            cells.append(spread(micros(used, messages), ".2f"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def heading(options):
    def said(*command):
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HERE)
        return ran.stdout.strip() or "unknown"

    processor = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    changed = " with changes" if said("git", "status", "--porcelain", "--untracked-files=no") != "unknown" else ""
    return f"""# What tracing costs a whole program: figures

Written by `run.py`; [README.md](README.md) says what is measured. Median (least – most). A row is noisy when its least and its
most differ by more than a fifth of its median.

| | |
|---|---|
| day | {datetime.date.today()} |
| commit | {said("git", "rev-parse", "--short=12", "HEAD")}{changed} |
| command | `run.py {" ".join(sys.argv[1:])}` |
| rounds, messages a run | {options.rounds}, {options.messages:,} |
| machine | {os.cpu_count()} × {processor[0] if processor else platform.machine()}, {platform.platform()} |
| load average when it ended | {os.getloadavg()[0]:.1f} |
| Kafka | {"a real one" if options.kafka else "librdkafka's own for tests"}, on the same machine |
| Rust, C | {said("rustc", "--version")}; {said("cc", "--version").splitlines()[0]} |
| librdkafka of the C program | {said("pkg-config", "--modversion", "rdkafka")} |
"""


if __name__ == "__main__":
    main()
