"""The collector of a real job: what it has acknowledged is counted once, whatever happens."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from cli.main import usher
from tests.cli.jobs import eventually, finished, now, running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, metrics
from tests.serving.collected import kept
from tests.serving.test_job import addresses

SOURCES = {"web": {"type": "http", "format": "segment", "write_keys": ["k"]}}
EVENTS = {"ordered": {"source": "web", "type": "Order Completed", "parent_model": "users"}}


def counting(most: int) -> dict[str, Any]:
    """An audience for each number of orders."""
    return {
        f"with_{count}": {
            "parent_model": "users",
            "where": {"performed": "ordered", "exactly": count, "within": "1h"},
        }
        for count in range(1, most + 1)
    }


def written(root: Path, most: int, users: int, serving: dict[str, str]) -> Path:
    rows = "".join(f"u{number},1\n" for number in range(users))
    sections: dict[str, Any] = {"sources": SOURCES, "events": EVENTS, "syncs": None}
    definition = changed(**sections, audiences=counting(most), serving=serving)
    return write_project(root, definition, f"user_id,ltv\n{rows}")


def members(root: Path, audience: str) -> set[str]:
    listed = CliRunner().invoke(usher, ["-C", str(root), "members", audience])
    return {line.split()[1] for line in listed.stdout.splitlines()}


def order(user: str, number: int, skew: float = 0.0) -> dict[str, Any]:
    """`skew` is by how many seconds the clock of the user's device is ahead."""
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "messageId": f"{user}-{number}",
        "timestamp": now(skew),
    }


def post(url: str, *events: dict[str, Any], key: str = "k", skew: float = 0.0) -> requests.Response:
    body = {"batch": list(events), "writeKey": key, "sentAt": now(skew)}
    return ask(f"{url}/v1/batch", method="POST", json=body)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_event_that_is_acknowledged_moves_its_user(tmp_path: Path, workers: str) -> None:
    root = written(tmp_path / "project", 2, 2, ANYWHERE)
    with running(root, "--workers", workers) as one:
        url, figures = addresses(one)
        assert post(url, order("u1", 1), order("u1", 2), order("u1", 2)).status_code == 200
        one.await_told(("u1", "entered", "with_2", "event"))
        assert post(url, order("u0", 1), key="other").status_code == 400
        taken = 'usher_collector_requests_total{outcome="taken",source="web"}'
        assert metrics(figures)[taken] == 1
        # A second job would collect into the same log.
        code, said = finished(root)
        assert code == 3
        assert "another" in said
        # Sources follow the definitions.
        sources = {"web": {**SOURCES["web"], "write_keys": ["other"]}}
        sections: dict[str, Any] = {"sources": sources, "events": EVENTS, "syncs": None}
        definition = changed(**sections, audiences=counting(2), serving=ANYWHERE)
        write_project(root, definition)
        eventually(lambda: post(url, order("u0", 1), key="other").status_code == 200, one)
        assert post(url, order("u0", 2)).status_code == 400
        assert one.stop() == 0


def test_a_collector_of_its_own_beside_the_job(tmp_path: Path) -> None:
    root = written(tmp_path / "project", 2, 2, ANYWHERE)
    with running(root, "--only", "serve") as collector:
        url, _ = addresses(collector)
        assert post(url, order("u1", 1)).status_code == 200
        with running(root, "--only", "evaluate") as one:
            eventually(lambda: members(root, "with_1") == {"u1"}, one)
            assert post(url, order("u1", 2)).status_code == 200
            one.await_told(("u1", "entered", "with_2", "event"))
            assert one.stop() == 0
        assert post(url, order("u0", 1)).status_code == 200
        assert collector.stop() == 0
    assert kept(root).ids == ["u1-1", "u1-2", "u0-1"]


class Customers(threading.Thread):
    """They order one after the other until each order has been acknowledged."""

    def __init__(self, url: str, seed: int, users: range, most: int, skew: float) -> None:
        super().__init__(daemon=True)
        self._skew = skew
        self._url = url
        self._random = random.Random(seed)
        self.orders = {f"u{user}": self._random.randint(1, most) for user in users}
        self.acknowledged = 0
        self.attempts = 0

    def run(self) -> None:
        waiting = [
            order(user, i, self._skew) for user, count in self.orders.items() for i in range(count)
        ]
        self._random.shuffle(waiting)
        while waiting:
            batch = waiting[-self._random.randint(1, 5) :]
            self.attempts += 1
            try:
                is_taken = post(self._url, *batch, skew=self._skew).status_code == 200
            except requests.RequestException:
                is_taken = False
            if is_taken:
                del waiting[-len(batch) :]
                self.acknowledged += len(batch)
            else:
                time.sleep(0.02)


@contextmanager
def ordering(url: str, customers: list[Customers]) -> Iterator[None]:
    for one in customers:
        one.start()
    yield
    for one in customers:
        one.join(120)
        assert not one.is_alive()


@pytest.mark.slow
def test_a_job_that_is_killed_counts_once_what_it_has_acknowledged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    groups, size, most = 4, 60, 5
    serving = {"listen": address, "admin": "127.0.0.1:0"}
    root = written(tmp_path / "project", most, groups * size, serving)
    chance = random.Random(7)
    url = f"http://{address}"
    customers = [
        Customers(url, seed, range(seed * size, (seed + 1) * size), most, skew)
        for seed, skew in enumerate((0.0, -1.0, 300.0, -86_400.0))
    ]
    orders = {user: count for one in customers for user, count in one.orders.items()}

    def acknowledged() -> int:
        return sum(one.acknowledged for one in customers)

    def are_right() -> bool:
        return all(
            members(root, f"with_{count}") == {user for user in orders if orders[user] == count}
            for count in range(1, most + 1)
        )

    with ordering(url, customers):
        for kill in range(1, 4):
            with running(root) as one:
                enough = sum(orders.values()) * kill // 4 + chance.randint(-20, 20)
                eventually(lambda: acknowledged() >= enough, one)  # noqa: B023
                one.process.kill()
                one.process.wait()
        with running(root) as one:
            eventually(lambda: acknowledged() == sum(orders.values()), one)
            eventually(are_right, one)
            assert one.stop() == 0
    assert sum(one.attempts for one in customers) > acknowledged() / 5
    assert len(set(kept(root).ids)) == sum(orders.values())


def test_what_is_under_way_is_answered_before_the_end(tmp_path: Path) -> None:
    root = written(tmp_path / "project", 2, 2, ANYWHERE)
    with running(root, "--only", "serve") as one, ExitStack() as held:
        url, _ = addresses(one)
        host, _, port = url.removeprefix("http://").rpartition(":")
        lines = []
        for number in range(5):
            body = json.dumps({"batch": [order(f"u{number}", 1)], "writeKey": "k"}).encode()
            line = held.enter_context(socket.create_connection((host, int(port)), timeout=60))
            line.sendall(b"POST /v1/b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
            line.sendall(body[:20])
            lines.append((line, body[20:]))
        assert post(url, order("u0", 2)).status_code == 200  # what came before is there as well
        one.process.terminate()
        eventually(lambda: not is_listening(host, int(port)))
        for line, rest in lines:
            line.sendall(rest)
        for line, _ in lines:
            assert line.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert one.process.wait(60) == 0
    assert len(set(kept(root).ids)) == 6


def is_listening(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=60).close()
    except ConnectionError:
        return False
    return True
