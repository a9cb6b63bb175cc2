"""Runs gunicorn with two workers, asks it for twenty orders, and ends it as a service manager does."""

import os
import signal
import subprocess
import sys
import time
import urllib.request

port = sys.argv[1]
server = [sys.executable, "-m", "gunicorn", "--workers=2", "--preload", "--log-level=warning"]
gunicorn = subprocess.Popen([*server, f"--bind=127.0.0.1:{port}", "--chdir=tests/python", "web:application"])
until = time.monotonic() + 30
answers = []
while len(answers) < 20 and time.monotonic() < until:
    try:
        answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read())
    except OSError:
        time.sleep(0.1)
gunicorn.send_signal(signal.SIGTERM)
status = gunicorn.wait(60)
print(len(answers), "orders, status", status)
