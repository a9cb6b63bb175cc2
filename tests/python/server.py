"""A server on uvicorn, of which each request is an order: it is asked 20 times, and told to end."""

import os
import signal
import socket
import threading
import urllib.request

import uvicorn
from clients import producer, send

orders = producer()
listener = socket.create_server(("127.0.0.1", 0))


async def application(scope, receive, respond):
    if scope["type"] != "http":
        return
    send(orders, "orders")
    await respond({"type": "http.response.start", "status": 200, "headers": []})
    await respond({"type": "http.response.body", "body": b"1"})


def ask():
    address = "http://127.0.0.1:%d/" % listener.getsockname()[1]
    answers = [urllib.request.urlopen(address, timeout=30).read() for _ in range(20)]
    print(len(answers), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=ask).start()
server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
server.run(sockets=[listener])
