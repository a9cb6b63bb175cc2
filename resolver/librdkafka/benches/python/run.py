"""What tracing costs a Python program: untraced, by libtracer_interceptors.so, with the layer too, and by OpenTelemetry's instrumentation.

    python3 run.py [--messages N] [--rounds N] [--rate N] [--queue SIZE] [--without-opentelemetry] [--quick]

They take turns. Each has a cluster and a collector of its own, in another process, whose cost is not counted.
Fails when a span of ours does not arrive. README.md says what is measured.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[3] / "target"))

# A way: its name, and how many spans it makes of a message that is sent and consumed. OpenTelemetry makes `send`,
# `recv` and `process`.
UNTRACED, OURS, OPENTELEMETRY = ("untraced", 0), ("tracer-resolver", 2), ("OpenTelemetry", 3)
# As `tracer-interceptors run` runs it from the wheel.
FOLLOWED = ("tracer-resolver, the task followed", 2)
LAYER = HERE.parents[1] / "python/tracer_interceptors/start"


def main():
    options = parsed_options()
    python = environment(options.environment)
    ways = [UNTRACED, OURS, FOLLOWED] + ([] if options.without_opentelemetry else [OPENTELEMETRY])
    runs = {way: [] for way in ways}
    for number in range(options.rounds):
        # No way is always the first, when the machine may be cooler.
        first = number % len(ways)
        for way in ways[first:] + ways[:first]:
            runs[way].append(measured(way, python, options))
            print(f"round {number + 1}: {way[0]}: {runs[way][-1]}", file=sys.stderr)
    print(table(runs, options.messages))
    expected = OURS[1] * options.messages
    of_ours = [run["spans"] for way in (OURS, FOLLOWED) for run in runs[way]]
    if any(spans != expected for spans in of_ours):
        sys.exit(f"of {expected} spans of ours arrived: {of_ours}")


def parsed_options():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--messages", type=int, default=1_000_000, help="whole chunks of 50000, or of a tenth of RATE")
    options.add_argument("--rounds", type=int, default=5, help="of all ways (default: %(default)s)")
    options.add_argument("--rate", type=int, default=0, help="messages to try a second (default: as many as go)")
    options.add_argument("--queue", default="512MiB", help="our queue_bytes (default: %(default)s)")
    options.add_argument("--without-opentelemetry", action="store_true", help="untraced and ours")
    options.add_argument("--quick", action="store_true", help="one round of 5000 messages, to see that it works")
    options.add_argument("--playground", default=BUILT / "release/examples/playground", help="default: %(default)s")
    options.add_argument("--library", default=BUILT / "release/libtracer_interceptors.so", help="default: %(default)s")
    options.add_argument("--environment", default=BUILT / "foreign/bench", help="made if need be: %(default)s")
    options.add_argument("--measure", help=argparse.SUPPRESS)
    options.add_argument("command", nargs="*", help=argparse.SUPPRESS)
    options = options.parse_args()
    if options.measure:
        measure(options.measure, options.command)
        sys.exit()
    if options.quick:
        options.messages, options.rounds = 5_000, 1
    return options


def environment(folder):
    """The Python of an environment with the requirements."""
    python = pathlib.Path(folder) / "bin/python"
    made = pathlib.Path(folder) / "made"
    wanted = (HERE / "requirements.txt").read_text()
    if pathlib.Path(folder).exists() and not made.exists() and pathlib.Path(folder) != BUILT / "foreign/bench":
        sys.exit(f"{folder} is somebody else's: name a folder that is not there, or leave the option out")
    if not made.exists() or made.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
        made.write_text(wanted)
    return python


def measured(way, python, options):
    """One run: messages a second, CPU seconds, wall seconds, peak MiB, and the spans that arrived."""
    program = [HERE / "program.py", str(options.messages), str(options.rate)]
    variables = {}
    if way in (OURS, FOLLOWED):
        file = HERE / "tracing.toml"
        variables = {"INTERCEPTORS_CONFIG_FILE": file, "QUEUE": options.queue, "LD_PRELOAD": options.library}
    if way == FOLLOWED:
        variables["PYTHONPATH"] = LAYER
    if way == OPENTELEMETRY:
        variables = {"OTEL_SERVICE_NAME": "bench"}
        program = [HERE / "with_opentelemetry.py", *program]
    with tempfile.NamedTemporaryFile() as figures:
        command = [python, *program]
        # Set for the program only: the playground is not to be traced.
        command = ["env", *(f"{name}={value}" for name, value in variables.items()), *command]
        command = [sys.executable, __file__, "--measure", figures.name, "--", *command]
        playground = [options.playground, "--quiet", "--topic", "bench:16", "--"]
        ran = subprocess.run([*playground, *command], stdout=subprocess.PIPE, text=True)
        if ran.returncode != 0:
            sys.exit(f"{way[0]} failed:\n{ran.stdout}")
        arrived = re.findall(r"^(\d+) spans in ", ran.stdout, re.MULTILINE)
        return {**json.load(open(figures.name)), "spans": int(arrived[-1])}


def measure(file, command):
    """Runs the program and writes what it used, from its start to its end."""
    started = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "rate": round(float(ran.stdout)),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "wall": round(wall, 2),
        "memory": used.ru_maxrss // 1024,
    }
    pathlib.Path(file).write_text(json.dumps(figures))


def table(runs, messages):
    def spread(values, form):
        return f"{statistics.median(values):{form}} ({min(values):{form}} – {max(values):{form}})"

    base = statistics.median(run["cpu"] for run in runs[UNTRACED])
    lines = [
        "| way | messages/s | CPU s | CPU µs a message above untraced | wall s | peak MiB | spans arrived | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, spans), of_way in runs.items():
        cpu = statistics.median(run["cpu"] for run in of_way)
        arrived = statistics.median(run["spans"] for run in of_way)
        expected = spans * messages
        cells = [
            name,
            spread([run["rate"] for run in of_way], ",.0f"),
            spread([run["cpu"] for run in of_way], ".1f"),
            f"{(cpu - base) / messages * 1e6:.2f}",
            spread([run["wall"] for run in of_way], ".1f"),
            f"{max(run['memory'] for run in of_way)}",
            f"{arrived:,.0f} of {expected:,}",
            f"{1 - arrived / expected:.1%}" if expected else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
