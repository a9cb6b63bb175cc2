"""Backends and brokers in trouble: which spans arrive, whether all others are counted, and what the program feels of it.

Two programs run at the same time, one of them traced, and send 500 messages a second each; one second later the trouble begins, and
four seconds later it is over. What arrived is compared with what the `file` backend of the same program has, by span id; what the
program's status counts as lost has to be the rest, to the span.
"""

import base64
import collections
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import select
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

from clients import Program, servers
from read_back import otlp_file

RATE, SECONDS, BEGINS, ENDS = 500, 9, 1, 5
# What takes the spans in, by the name of the backend: each has a topic and a service of its own. All of it is in one Collector.
BACKENDS = {
    "otlp": ("otlp", "COLLECTOR_OTLP", {}),
    "otlp_grpc": ("otlp_grpc", "COLLECTOR_OTLP_GRPC", {}),
    "jaeger": ("jaeger", "COLLECTOR_THRIFT", {"transport": "thrift_http"}),
    "zipkin": ("zipkin", "COLLECTOR_ZIPKIN", {}),
    "kafka": ("kafka", "KAFKA", {"traces_topic": "otlp_spans"}),
}
HTTP = ("otlp", "jaeger", "zipkin")
SICK = (*HTTP, "otlp_grpc")

# `at` has the broker of the program. `begin` and `end` are words for `Stage`; `may_lose` says that not all is to arrive.
Trouble = collections.namedtuple("Trouble", "name backends begin end at may_lose", defaults=["KAFKA", False])
TROUBLES = [
    Trouble("none", tuple(BACKENDS), None, None),
    Trouble("the Collector stopped, and back", tuple(BACKENDS)[:4], "stop otelcol", "start otelcol"),
    Trouble("the Collector paused", tuple(BACKENDS)[:4], "pause otelcol", "resume otelcol"),
    Trouble("the backend's broker paused", ("kafka",), "pause kafka", "resume kafka", "KAFKA_OLD"),
    Trouble("the backend's broker stopped, and back", ("kafka",), "stop kafka", "start kafka", "KAFKA_OLD"),
    Trouble("half a second for each answer", HTTP, "slow", "pass"),
    Trouble("503 with Retry-After: 2", SICK, "503", "pass"),
    Trouble("429 with Retry-After: 2", SICK, "429", "pass"),
    Trouble("gRPC: UNAVAILABLE, with a RetryInfo of 2 s", ("otlp_grpc",), "14", "pass"),
    Trouble("connections reset, each request half taken", SICK, "reset", "pass"),
    Trouble("another certificate, and the former one again", HTTP, "tls-other", "tls"),
    Trouble("the name is gone from DNS, and back", tuple(BACKENDS)[:4], "forget", "remember"),
    Trouble("the Collector stopped for good", tuple(BACKENDS)[:4], "stop otelcol", None, "KAFKA", True),
    Trouble("503 for good", SICK, "503", None, "KAFKA", True),
    Trouble("400 for good", SICK, "400", None, "KAFKA", True),
    Trouble("gRPC: UNAVAILABLE for good", ("otlp_grpc",), "14", None, "KAFKA", True),
    Trouble("gRPC: INVALID_ARGUMENT for good", ("otlp_grpc",), "3", None, "KAFKA", True),
    Trouble("the disk full, and room for a quarter of them again", ("file",), "fill", "empty", "KAFKA", True),
    Trouble("the disk of the spool full, the Collector stopped, and both well again", ("spooled",), "fill-stop", "empty-start"),
    Trouble("the program's broker stopped, and back", ("otlp",), "stop kafka-old", "start kafka-old", "KAFKA_OLD"),
    Trouble("the program's broker paused", ("otlp",), "pause kafka-old", "resume kafka-old", "KAFKA_OLD"),
]


class Sick(http.server.BaseHTTPRequestHandler):
    """Passes requests on to a server of HTTP, or does to them what is asked for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        mode = self.server.stage.mode
        length = int(self.headers["Content-Length"])
        if mode == "reset":
            self.rfile.read(length // 2)
            # Closing it now is a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if mode.isdigit():
            self.send_response(int(mode))
            if mode != "400":
                self.send_header("Retry-After", "2")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if mode == "slow":
            time.sleep(0.5)
        there = http.client.HTTPConnection(self.server.there, timeout=30)
        there.request("POST", self.path, body, {key: value for key, value in self.headers.items() if key.lower() != "host"})
        answer = there.getresponse()
        said = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        there.close()

    def log_message(self, *_):
        pass


class Between(http.server.ThreadingHTTPServer):
    """Stands before a server of HTTP; with TLS, if the stage says so at that moment."""

    daemon_threads = True

    def __init__(self, stage, there):
        super().__init__(("127.0.0.1", 0), Sick)
        self.stage, self.there = stage, there
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def get_request(self):
        connection, address = super().get_request()
        if self.stage.mode.startswith("tls"):
            # The handshake is done by the connection's own thread.
            connection = self.stage.contexts[self.stage.mode].wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_):
        pass  # It is in the program's log.


def frame(kind, flags, stream, body=b""):
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def grpc_answer(mode):
    """The fields of an answer in HPACK, none of them put into its table: a status of HTTP, or one of gRPC."""
    def field(name, value):
        return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    if len(mode) == 3:
        return field(b":status", mode.encode()) + (field(b"retry-after", b"2") if mode != "400" else b"")
    # A google.rpc.Status whose detail is a google.rpc.RetryInfo of two seconds.
    def message(*fields):
        return b"".join(bytes([number << 3 | 2, len(value)]) + value for number, value in fields)
    info = message((1, b"type.googleapis.com/google.rpc.RetryInfo"), (2, message((1, b"\x08\x02"))))
    details = field(b"grpc-status-details-bin", base64.b64encode(b"\x08\x0e" + message((3, info)))) if mode == "14" else b""
    return b"\x88" + field(b"content-type", b"application/grpc") + field(b"grpc-status", mode.encode()) + details


class SickGrpc(socketserver.BaseRequestHandler):
    """Hands a connection on to a server of gRPC as it is, or answers itself; when the stage's mode changes the connection ends."""

    def handle(self):
        mode = self.server.stage.mode
        if mode == "pass":
            self.hand_on()
        elif mode == "reset":
            self.request.recv(4096)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.answer(mode)

    def hand_on(self):
        host, port = self.server.there.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            other = {self.request: there, there: self.request}
            while self.server.stage.mode == "pass":
                for one in select.select(list(other), [], [], 0.05)[0]:
                    taken = one.recv(65536)
                    if not taken:
                        return
                    other[one].sendall(taken)

    def exactly(self, count):
        taken = b""
        while len(taken) < count:
            self.request.settimeout(0.05)
            try:
                taken += self.request.recv(count - len(taken)) or self.gone()
            except TimeoutError:
                if not taken and self.server.stage.mode != self.mode:
                    self.gone()
            finally:
                self.request.settimeout(None)
        return taken

    def gone(self):
        raise ConnectionResetError

    def answer(self, mode):
        self.mode = mode
        self.exactly(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        self.request.sendall(frame(4, 0, 0))
        while True:
            head = self.exactly(9)
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            body = self.exactly(int.from_bytes(head[:3], "big"))
            if kind in (4, 6) and not flags & 1:
                self.request.sendall(frame(kind, 1, 0, body if kind == 6 else b""))
            if kind == 0 and body:
                more = struct.pack(">I", len(body))
                self.request.sendall(frame(8, 0, 0, more) + (frame(8, 0, stream, more) if not flags & 1 else b""))
            if kind in (0, 1) and flags & 1:
                self.request.sendall(frame(1, 5, stream, grpc_answer(mode)))


class BetweenGrpc(socketserver.ThreadingTCPServer):
    """Stands before a server of gRPC."""

    daemon_threads = True

    def __init__(self, stage, there):
        super().__init__(("127.0.0.1", 0), SickGrpc)
        self.stage, self.there, self.server_port = stage, there, self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass  # It is in the program's log.


class Stage:
    """What trouble is made of."""

    def __init__(self, at, folder, first):
        self.at, self.mode, self.folder = at, first, folder
        self.disk, self.hosts = folder / "disk", folder / "hosts"
        self.contexts = {}
        for mode, name in (("tls", ""), ("tls-other", "other-")):
            self.contexts[mode] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.contexts[mode].load_cert_chain(pathlib.Path(at["AUTHORITY"]).with_name(f"{name}broker.pem"))
        self.remember()

    def remember(self):
        self.hosts.write_text("127.0.0.1 localhost collector.test\n")

    def do(self, word):
        if not word:
            return
        if " " in word:
            servers(self.at, *word.split())
        elif word == "forget":
            self.hosts.write_text("127.0.0.1 localhost\n")
        elif word == "remember":
            self.remember()
        elif word.startswith("fill"):
            with contextlib.suppress(OSError), open(self.disk / "filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
                    filler.flush()
            if word == "fill-stop":
                servers(self.at, "stop", "otelcol")
        elif word.startswith("empty"):
            (self.disk / "filler").unlink()
            if word == "empty-start":
                servers(self.at, "start", "otelcol")
        else:
            self.mode = word


def address_of(at, backend, trouble, stage, proxies):
    """Where a backend sends to, given the trouble."""
    plugin, key, settings = BACKENDS[backend]
    url = urllib.parse.urlsplit(at[key] if "//" in at[key] else f"//{at[key]}")
    host = url.netloc
    if backend in SICK and trouble.begin in ("slow", "503", "429", "400", "14", "3", "reset", "tls-other"):
        proxies.append((Between if backend in HTTP else BetweenGrpc)(stage, host))
        host = f"127.0.0.1:{proxies[-1].server_port}"
        if stage.mode.startswith("tls"):
            settings = {**settings, "tls": {"ca_file": at["AUTHORITY"]}}
            url = url._replace(scheme="https")
    if trouble.begin == "forget":
        host = host.replace("127.0.0.1", "collector.test")
    where = urllib.parse.urlunsplit(url._replace(netloc=host)).removeprefix("//")
    return plugin, {**settings, ("bootstrap_servers" if backend == "kafka" else "endpoint"): where}


def configuration(at, trouble, stage, proxies, right):
    """A service and a backend of each name; and every span also in a file, which is what is right."""
    lines = ['version = 1', '[backends.right]', 'plugin = "file"', f'config = {{ path = "{right}" }}']
    for backend in trouble.backends:
        if backend == "file":
            plugin, settings, more = "file", {"path": str(stage.disk / "spans.jsonl")}, []
        elif backend == "spooled":
            plugin, settings = address_of(at, "otlp", trouble, stage, proxies)
            more = [f'spool = "{stage.disk}/spool"']
        else:
            (plugin, settings), more = address_of(at, backend, trouble, stage, proxies), []
        config = ", ".join(f'{key} = {json.dumps(value) if isinstance(value, str) else "{ ca_file = " + json.dumps(value["ca_file"]) + " }"}'
                           for key, value in settings.items())
        lines += [f"[backends.{backend}]", f'plugin = "{plugin}"', f"config = {{ {config} }}", 'timeout = "3s"', *more,
                  f"[services.{backend}]", f'produces = ["*-{backend}"]', f'export = ["right", "{backend}"]']
    return "\n".join(lines) + "\n"


def loaded(program, topics, result):
    result.append(program.ask(f"load p {topics} {RATE} {SECONDS}"))
    result.append(program.ask("close p"))


def one(at, trouble, folder, index):
    """The rows of one trouble: backend, sent, arrived, counted as lost, latencies, what is wrong."""
    (folder / "disk").mkdir(parents=True)
    with contextlib.ExitStack() as undo:
        needs_disk = "fill" in (trouble.begin or "")
        if needs_disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder / "disk"], check=True)
            undo.callback(subprocess.run, ["umount", "-l", folder / "disk"], check=True)
        stage, proxies = Stage(at, folder, "tls" if trouble.begin == "tls-other" else "pass"), []
        undo.callback(lambda: [proxy.shutdown() for proxy in proxies])
        right, status = folder / "right.jsonl", folder / "status.json"
        (folder / "tracing.toml").write_text(configuration(at, trouble, stage, proxies, right))
        # A file of names of its own.
        command = folder / "client"
        command.write_text(f'#!/bin/sh\nexec unshare -m sh -c \'mount --bind {stage.hosts} /etc/hosts; exec {at["PROGRAMS"]["c"]}\'\n'
                           if trouble.begin == "forget" else f'#!/bin/sh\nexec {at["PROGRAMS"]["c"]}\n')
        command.chmod(0o755)
        traced = {"PLUGIN": str(at["LIBRARY"]), "INTERCEPTORS_CONFIG_FILE": str(folder / "tracing.toml"),
                  "INTERCEPTORS_STATUS": str(status), "OTEL_LOG_LEVEL": "info"}
        topics = {name: ",".join(f"real-{os.getpid()}-{index}-{name}-{backend}" for backend in trouble.backends)
                  for name in ("untraced", "traced")}
        programs, results, threads = {}, {"untraced": [], "traced": []}, []
        for name, environment in (("untraced", {}), ("traced", traced)):
            programs[name] = Program(str(command), {"KAFKA": at[trouble.at], **environment}, folder / f"{name}.log")
            programs[name].ask("producer p message.timeout.ms=110000 linger.ms=5")
            # So that the topics are there, and the first connections made.
            for topic in topics[name].split(","):
                programs[name].ask(f"send p {topic} 1 9")
            programs[name].ask("flush p 60000")
        for name, program in programs.items():
            threads.append(threading.Thread(target=loaded, args=(program, topics[name], results[name])))
            threads[-1].start()
        time.sleep(BEGINS)
        stage.do(trouble.begin)
        time.sleep(ENDS - BEGINS)
        stage.do(trouble.end)
        for thread in threads:
            thread.join()
        ended = {name: program.end() for name, program in programs.items()}
        if trouble.begin == "stop otelcol" and not trouble.end:
            servers(at, "start", "otelcol")
        sent = collections.defaultdict(set)
        for span in otlp_file(right):
            sent[span.service].add((span.trace, span.id))
        counted = {backend["name"]: backend for backend in json.loads(status.read_text())["backends"]}
        waits_until = time.monotonic() + (5 if trouble.may_lose else 30)
        while True:
            arrived, twice = collections.defaultdict(set), collections.Counter()
            for span in otlp_file(stage.disk / "spans.jsonl" if trouble.backends == ("file",) else at["COLLECTOR_SPANS"]):
                # The Collector has those of the troubles before too.
                of = (span.trace, span.id)
                twice[span.service] += of in arrived[span.service] and of in sent[span.service]
                arrived[span.service].add(of)
            if all(sent[of] <= arrived[of] for of in trouble.backends) or time.monotonic() > waits_until:
                break
            time.sleep(1)
        for backend in trouble.backends:
            count, found = counted[backend], []
            lost = sum(count["dropped"].values()) + count["rejected"]
            missing = len(sent[backend] - arrived[backend])
            if lost + count["spooled"] != missing:
                found.append(f"{missing} spans did not arrive, {lost} are counted as lost and {count['spooled']} lie in the spool")
            if missing and not trouble.may_lose:
                found.append(f"{missing} spans did not arrive: {count['dropped']}")
            if count["waiting"] or count["offered"] != len(sent[backend]):
                found.append(f"{count['waiting']} wait at the end, {count['offered']} of {len(sent[backend])} were offered")
            if lost and f"backend `{backend}`" not in ended["traced"][1]:
                found.append("the loss is in no line of the log")
            yield backend, len(sent[backend]), len(sent[backend] & arrived[backend]), lost, twice[backend], count["dropped"], found
        # What the programs saw: outcomes have to be the same, times are shown.
        words = {name: result[0].split() for name, result in results.items()}
        of = {name: {"outcome": [*said[:4], *said[10:]], "times": [*said[5:7], *said[8:10]]} for name, said in words.items()}
        found = [] if of["traced"]["outcome"] == of["untraced"]["outcome"] else [f"{of['traced']['outcome']}, untraced {of['untraced']['outcome']}"]
        found += [f"{name} ended with {code}" for name, (code, _) in ended.items() if code]
        yield None, of["untraced"]["times"], of["traced"]["times"], 0, 0, {}, found


def rows(at, folder, only):
    for index, trouble in enumerate(TROUBLES):
        if only and not any(text in trouble.name for text in only):
            continue
        yield trouble, list(one(at, trouble, folder / f"trouble-{index}", index))
