"""A server that takes webhooks, keeps them, and answers as it is told."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


@dataclass(frozen=True)
class Received:
    """A request; `path` is the first part of its path."""

    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.body)
        return record


class Hooks:
    """`says` gives statuses by path, and the record; 200 for all others."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.received: list[Received] = []
        self.says: dict[str, Callable[[dict[str, Any]], int]] = {}
        self.delay = 0.0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def at(self, path: str, status: int | None = None) -> list[Received]:
        """What came to a path, in order; only what was answered so, if a status is given."""
        return [one for one in self.received if one.path == path and status in {None, one.status}]

    def accepted(self, path: str) -> list[str]:
        """User, first letter of the kind, and sequence of what was taken."""
        return [
            f"{one.record['user_id']}{'+' if one.record['type'] == 'entered' else '-'}"
            for one in self.at(path, 200)
        ]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        time.sleep(self.delay)
        status = self.says.get(path, lambda _: 200)(json.loads(body))
        self.received.append(Received(path, headers, body, status))
        return status


@contextmanager
def hooks() -> Iterator[Hooks]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = found.take(re.split("[/?]", self.path.strip("/"))[0], headers, body)
            self.send_response(status)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"noted")

        @override
        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

        @override
        def handle(self) -> None:
            with suppress(ConnectionError):  # a job that is killed
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Hooks(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
