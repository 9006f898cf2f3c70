"""A server that everybody asks at once goes on, in memory that has a limit."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.cli.jobs import Job, eventually, now, running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, metrics, new_key
from tests.serving.test_fuzz import resident
from tests.serving.test_job import addresses

CONNECTIONS, STREAMS = 10_000, 1_000
LIVE = "GET /livez HTTP/1.1\r\n"
SOURCES = {"web": {"type": "http", "format": "segment", "write_keys": ["k"]}}


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def asked(address: tuple[str, int], head: str, answer: bytes) -> socket.socket:
    """A connection whose first request has been answered."""
    line = socket.create_connection(address, timeout=60)
    ask_again(line, head, answer)
    return line


def ask_again(line: socket.socket, head: str, answer: bytes) -> None:
    line.sendall(f"{head}Host: x\r\n\r\n".encode())
    found = b""
    while answer not in found:
        part = line.recv(1 << 16)
        assert part, found
        found += part


@contextmanager
def served(tmp_path: Path, **serving: Any) -> Iterator[tuple[Job, str, str, str]]:
    """A job, where it answers, where its metrics are, and a key."""
    sections: dict[str, Any] = {"sources": SOURCES, "serving": {**ANYWHERE, **serving}}
    root = write_project(tmp_path / "project", changed(**sections))
    with running(root) as one:
        url, figures = addresses(one)
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        yield one, url, figures, new_key(loaded_from(root), "audiences:read")


def goes_on(url: str, key: str, number: int) -> bool:
    """It takes an event, and answers."""
    event = {"type": "page", "userId": "u1", "messageId": f"m{number}", "timestamp": now()}
    taken = ask(f"{url}/v1/batch", method="POST", json={"batch": [event], "writeKey": "k"})
    return taken.ok and ask(f"{url}/v1/audiences/users/u1", key).ok


def test_ten_thousand_idle_connections_are_held(tmp_path: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:
        assert most > CONNECTIONS + 2_000, f"this needs more than {most:,} open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    limits = {"per_key": 100_000, "per_address": 100_000}
    with served(tmp_path, limits=limits) as (one, url, figures, key), ExitStack() as held:
        address = address_of(url)
        assert goes_on(url, key, 1)
        before = resident(one.server)
        head = f"GET /v1/stream HTTP/1.1\r\nAuthorization: Bearer {key}\r\n"
        for _ in range(STREAMS):
            held.enter_context(asked(address, head, b"retry: "))
        with_streams = resident(one.server)
        lines = [
            held.enter_context(asked(address, LIVE, b"alive")) for _ in range(CONNECTIONS - STREAMS)
        ]
        with_all = resident(one.server)
        assert goes_on(url, key, 2)
        assert metrics(figures)["usher_ready"] == 1
        for line in (lines[0], lines[-1]):  # they are still there
            ask_again(line, LIVE, b"alive")
        stream, idle = with_streams - before, with_all - with_streams
        print(
            f"{stream // STREAMS:,} bytes a stream, "
            f"{idle // (CONNECTIONS - STREAMS):,} bytes an idle connection"
        )
        assert stream < 64_000 * STREAMS
        assert idle < 16_000 * CONNECTIONS
        assert one.stop() == 0


def test_a_flood_of_large_bodies_takes_memory_that_has_a_limit(tmp_path: Path) -> None:
    """Of 300 at once, each of 4 MB and held back before its end, two of one address have room."""
    size, count = 4_000_000, 300
    head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    with served(tmp_path) as (one, url, figures, key), ExitStack() as held:
        assert goes_on(url, key, 1)
        before = resident(one.server)
        refused, waiting = 0, []
        for _ in range(count):
            line = held.enter_context(socket.create_connection(address_of(url), timeout=60))
            try:
                line.sendall(head + b" " * (size - 1))
                waiting.append(line)
            except ConnectionError:
                refused += 1
        most = resident(one.server)
        for line in waiting:
            line.sendall(b" ")
        answers = [line.recv(1_000) for line in waiting]
        late = [each for each in answers if each.startswith(b"HTTP/1.1 429 ")]
        assert all(b"retry-after: 1" in each for each in late)
        assert refused + len(late) >= count - 2
        assert any(each.startswith(b"HTTP/1.1 400 ") for each in answers)  # no known sender
        most = max(most, resident(one.server))
        print(f"{refused:,} cut off, {len(late):,} to come again, {most - before:,} bytes more")
        assert most - before < 250 << 20
        over = 'usher_collector_requests_total{outcome="over_capacity",source=""}'
        assert metrics(figures)[over] >= count - 2
        assert goes_on(url, key, 2)
        assert one.stop() == 0
