"""Runs what needs real servers, says what came of it, and fails if anything is not right. `tests/real/servers test` calls it.

    tests/real/servers test [--only TEXT]… [--part backends|clients|others|trouble]… [--orders N] [--debug] [--page FILE]

`--only` takes the rows whose name has that text. `--debug` builds without optimization, which takes less long. `--page` writes the
page, and `--record` the headers of other people's instrumentations into `tests/fixtures/others`.
"""

import argparse
import collections
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import backends
import clients
import mirror
import others
import trouble

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SERVERS = pathlib.Path(os.environ.get("REAL_SERVERS", ROOT / "target/real-servers"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PLUGINS = ["file", "jaeger", "kafka", "otlp", "otlp-grpc", "zipkin"]
PARTS = ["backends", "clients", "others", "trouble"]


def built(profile, folder, parts):
    """Builds what the parts need; where it is."""
    packages = ["contracts", "librdkafka", *(f"plugin-{plugin}" for plugin in PLUGINS)]
    names = [f"tracer-{'' if name.startswith('plugin') else 'resolver-'}{name}" for name in packages]
    # All at once, so that nothing is built twice; with TLS, by the machine's OpenSSL if it has one to build with.
    has_openssl = subprocess.run(["pkg-config", "--exists", "openssl >= 3"]).returncode == 0
    told = subprocess.run(
        ["cargo", "build", "--quiet", "--locked", "--lib", "--example", "shop", "--example", "real_client",
         *(argument for name in names for argument in ("-p", name)), "--features", "tracer-plugin-kafka/tls",
         "--message-format=json", *(["--release"] if profile == "release" else [])],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **({"OPENSSL_NO_VENDOR": "1"} if has_openssl else {})})
    messages = [json.loads(line) for line in told.stdout.splitlines()]
    at = TARGET / profile
    found = {"SHOP": at / "examples/shop", "LIBRARY": at / "libtracer_interceptors.so", "PROGRAMS": {}, "ENVIRONMENT": {}}
    if {"clients", "others", "trouble"} & {*parts}:
        found["PROGRAMS"]["rust"] = at / "examples/real_client"
        found["PROGRAMS"]["c"] = found["PROGRAMS"]["c-bundled"] = folder / "client"
        subprocess.run(["cc", "-O1", "-o", folder / "client", HERE / "client.c", "-lrdkafka"], check=True)
        # The librdkafka of the crate, as a library of its own: it is newer than that of most systems.
        out = next(one["out_dir"] for one in messages
                   if one["reason"] == "build-script-executed" and "rdkafka-sys" in one["package_id"])
        libraries = folder / "bundled"
        libraries.mkdir()
        subprocess.run(["cc", "-shared", "-Wl,-soname,librdkafka.so.1", "-o", libraries / "librdkafka.so.1", "-Wl,--whole-archive",
                        *pathlib.Path(out).glob("**/librdkafka.a"), "-Wl,--no-whole-archive", "-lssl", "-lcrypto", "-lz", "-lm",
                        "-lpthread", "-ldl"], check=True)
        found["ENVIRONMENT"]["c-bundled"] = {"LD_LIBRARY_PATH": str(libraries)}
    return found


def versions():
    """The servers' versions, as `servers` has them."""
    of = dict(re.findall(r"(?:^| )([A-Z_]+)=v?(\d[\w.-]+)", " ".join(re.findall(r"(?m)^(?:KAFKA|AGENT|OPENTRACING|PYTHON)=\d\S* [A-Z].*$", (HERE / "servers").read_text()))))
    # Jaeger's module 1.76.0 holds its version 2.13 beside the last of its versions 1.
    others = {name: of[name.upper()] for name in ("agent", "brave", "library", "opentracing", "jaeger_client", "kafka_oldest", "python", "confluent",
                                               "js", "kafkajs", "kotel", "franz", "quix")}
    return {**others, "Kafka": of["KAFKA"], "Kafka 3": of["KAFKA_OLD"], "Zipkin": f"Zipkin {of['ZIPKIN']}",
            "Collector": f"Collector {of['COLLECTOR']}", "Jaeger 2": f"Jaeger 2.13 (module {of['JAEGER']})",
            "Jaeger 1": f"Jaeger {of['JAEGER_OLD']}"}


def result(found):
    """A cell for what is not right."""
    kinds = collections.Counter(found).most_common(3)
    return "; ".join(f"{count} × {kind}" for kind, count in kinds).replace("|", "\\|") or "all equal"


def said(name, where, sent, got, found):
    print(f"{'ok' if not found else 'NOT':4} {name:58} {where:30} {sent:6} {got:6}", flush=True)
    for kind, count in collections.Counter(found).most_common(8):
        print(f"     {count} × {kind}", flush=True)


def backend_rows(at, arguments, _):
    lines = ["## Backends", "",
             "The shop (four services, one process) sends its spans through a backend to a server. They are read back by the server's own",
             "query interface, and compared span by span, attribute by attribute, with what the backend `file` has of the same run. A span",
             "that is missing, is there twice, or differs in anything that its protocol carries is a difference. The graph of services is",
             "compared edge by edge, with the number of calls.", "",
             "| backend | server | sent | read back | result |", "|---|---|---|---|---|"]
    bad = 0
    for name, version, server, sent, got, found in backends.rows(at, arguments.orders, arguments.only):
        said(f"{name} to {server}", version, sent, got, found)
        way = f"Kafka {at['VERSIONS']['Kafka']}, then {version}" if server.startswith("Kafka") else version
        lines.append(f"| {name} | {way} | {sent:,} | {got:,} | {result(found)} |")
        bad += bool(found)
    return lines, bad


def client_rows(at, arguments, folder):
    lines = ["## Programs", "",
             "A program takes the same steps untraced and traced. Compared: every answer that it gets (errors by name, deliveries, offsets, a",
             "digest of what it receives), word by word; that every message has its span, a failed one a failed span; that each `receive`",
             "and `process` is the child of the send of that very message, by topic, partition and offset; and that nothing is warned of.", "",
             "| what | server | program | spans sent, received | result |", "|---|---|---|---|---|"]
    bad = 0
    librdkafka = {"c": "C, librdkafka of the system", "c-bundled": "C, librdkafka of the crate", "rust": "Rust"}
    for scenario, program, way, sent, got, found in clients.rows(at, folder, arguments.only):
        said(scenario.name, f"{program}, {way}", sent, got, found)
        version = at["VERSIONS"]["Kafka 3" if scenario.at == "KAFKA_OLD" else "Kafka"]
        by = "" if program == "rust" else f", {way}"
        lines.append(f"| {scenario.name} | Kafka {version} | {librdkafka[program]}{by} | {sent:,}, {got:,} | {result(found)} |")
        bad += bool(found)
    name = "a pipeline of Quix Streams, each payment below its order"
    if not arguments.only or any(text in name for text in arguments.only):
        sent, got, found = clients.quix(at, folder)
        said(name, "Python, preloaded", sent, got, found)
        lines.append(f"| {name} | Kafka {at['VERSIONS']['Kafka']} | Quix Streams {at['VERSIONS']['quix']}, preloaded, with the layer | {sent}, {got} | {result(found)} |")
        bad += bool(found)
    return lines, bad


def other_rows(at, arguments, folder):
    lines = ["## Other people's instrumentations", "",
             "A program of theirs sends and ours receives, and the other way round; then each passes on what the other one sent, ours message by",
             "message without the headers, theirs with all of them. The spans of both are compared by what each says of its own. Of a trace that",
             "is not kept nobody may have a span, and it must go on as one that is not kept. The headers are kept in `tests/fixtures/others`, byte for byte, where the ordinary tests read them.", "",
             "| instrumentation | way | sent | children | result |", "|---|---|---|---|---|"]
    bad = 0
    found_by = itertools.chain(others.rows(at, folder, arguments.only, arguments.record), mirror.rows(at, folder, arguments.only))
    for name, way, sent, got, found in found_by:
        said(name, way, sent, got, found)
        lines.append(f"| {name} | {way} | {sent} | {got} | {result(found)} |")
        bad += bool(found)
    return lines + mirror.SEEN, bad


def trouble_rows(at, arguments, folder):
    lines = ["## Trouble", "",
             f"Two programs in C send {trouble.RATE} messages a second each for {trouble.SECONDS} seconds, at the same time; one of them is traced, by property. After",
             f"{trouble.BEGINS} second the trouble begins, and {trouble.ENDS - trouble.BEGINS} seconds later it is over, if it ever is. Every span that did not arrive has to be counted as",
             "lost in the program's status, to the span, and told in its log; where the trouble ends, none may be lost. The deliveries have to be",
             "those of the untraced program. Times are shown, not asserted, and say nothing where both programs are slow: the machine was.", "",
             "| trouble | backend | spans | arrived | counted as lost | arrived twice | result |", "|---|---|---|---|---|---|---|"]
    times = ["", "How long a call of produce, and an acknowledgement, took: p50 and p99, µs.", "",
             "| trouble | call, untraced | call, traced | acknowledgement, untraced | acknowledgement, traced |", "|---|---|---|---|---|"]
    bad = 0
    for of, got in trouble.rows(at, folder, arguments.only):
        for backend, sent, arrived, lost, twice, reasons, found in got:
            bad += bool(found)
            if backend:
                said(f"{of.name}: {lost} lost {reasons or ''}", backend, sent, arrived, found)
                why = "".join(f", {count} {reason}" for reason, count in reasons.items())
                lines.append(f"| {of.name} | {backend} | {sent:,} | {arrived:,} | {lost:,}{why} | {twice} | {result(found)} |")
                continue
            said(f"{of.name}: the program", f"{sent} {arrived}", 0, 0, found)
            cells = [f"{int(one[at]):,}, {int(one[at + 1]):,}" for at in (0, 2) for one in (sent, arrived)]
            times.append(f"| {of.name}{'' if not found else ': ' + result(found)} | {' | '.join(cells)} |")
    return lines + times, bad


def page(path, sections, debug):
    """The page with these sections in place of those that it had; others stay."""
    order = ["Backends", "Programs", "Other people's instrumentations", "Trouble"]
    try:
        parts = re.split(r"(?m)^(?=## )", pathlib.Path(path).read_text())[1:]
    except FileNotFoundError:
        parts = []
    of = {part[3:].split("\n")[0]: part.strip() for part in parts}
    for lines in sections:
        on = f"Run on {time.strftime('%d %B %Y')}{', built without optimization' * debug}, load {os.getloadavg()[1]:.0f} on {os.cpu_count()} processors."
        of[lines[0][3:]] = "\n".join([lines[0], "", on, *lines[2:]])
    pathlib.Path(path).write_text("\n\n".join([
        "# What real servers say",
        "Written by `tests/real/servers test --page tests/real/MATRIX.md`; with `--part` one part of it is written anew. Every server is\n"
        "real, on one machine, on loopback, and starts empty.",
        *(of[name] for name in order if name in of)]) + "\n")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", action="append", default=[], metavar="TEXT")
    arguments.add_argument("--part", action="append", default=[], choices=PARTS)
    arguments.add_argument("--orders", type=int, default=300, metavar="N")
    arguments.add_argument("--debug", action="store_true")
    arguments.add_argument("--keep", metavar="FOLDER")
    arguments.add_argument("--record", action="store_true")
    arguments.add_argument("--page", metavar="FILE")
    arguments = arguments.parse_args()
    try:
        at = dict(line.split("=", 1) for line in (SERVERS / "environment").read_text().splitlines())
    except FileNotFoundError:
        raise SystemExit(f"no {SERVERS}/environment: tests/real/servers up")
    parts = arguments.part or PARTS
    profile = "debug" if arguments.debug else "release"
    sections, bad = [], 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(arguments.keep or folder)
        folder.mkdir(exist_ok=True)
        at |= {"SERVERS": HERE / "servers", "HERE": HERE, "FOLDER": SERVERS, "VERSIONS": versions(), **built(profile, folder, parts)}
        for part, rows in {"backends": backend_rows, "clients": client_rows, "others": other_rows, "trouble": trouble_rows}.items():
            if part in parts:
                lines, wrong = rows(at, arguments, folder)
                sections.append(lines)
                bad += wrong
    if arguments.page:
        page(arguments.page, sections, arguments.debug)
    print(f"{bad} rows are not right" if bad else "all rows are right")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
