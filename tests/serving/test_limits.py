"""Who asks too often is told when to come back, and nobody else notices."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from project.folder import LoadedProject
from serving import limits
from serving.limits import Limiter
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, Server, loaded_from, new_key, server


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> int:
        return int(self.now * 1_000_000_000)


def test_a_second_s_worth_at_once_and_then_as_much_as_time_gives() -> None:
    clock = Clock()
    limiter = Limiter(10, clock)
    assert [limiter.take("a").remaining for _ in range(10)] == list(range(9, -1, -1))
    refused = limiter.take("a")
    assert refused.remaining == 0
    assert refused.wait == pytest.approx(0.1)
    assert limiter.take("b").wait == 0
    clock.now += 0.301
    assert [limiter.take("a").wait == 0 for _ in range(4)] == [True, True, True, False]
    clock.now += 10
    assert limiter.take("a", 10).wait == 0
    assert limiter.take("a", 1).wait > 0
    assert limiter.take("c", 1_000).wait == 0  # more than there ever is counts as all there is


def test_who_owes_waits_the_longer() -> None:
    clock = Clock()
    limiter = Limiter(10, clock)
    assert limiter.take("a", 6).wait == 0
    assert limiter.owe("a", 8).remaining == 0
    assert limiter.take("a").wait == pytest.approx(0.5)
    clock.now += 0.501
    assert limiter.take("a").wait == 0


@given(
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 5)), min_size=1, max_size=200),
)
def test_never_more_than_the_rate(rate: int, asked: list[tuple[float, int]]) -> None:
    clock = Clock()
    began = clock.now
    limiter, allowed = Limiter(rate, clock), 0
    for pause, cost in asked:
        clock.now += pause
        allowance = limiter.take("a", cost)
        allowed += min(cost, rate) if allowance.wait == 0 else 0
        assert allowed <= rate * (clock.now - began + 1) + 1e-3
        assert 0 <= allowance.remaining <= rate


def test_many_clients_need_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST", 100)
    clock = Clock()
    limiter = Limiter(1, clock)
    for number in range(1_000):
        clock.now += 0.001
        assert limiter.take(f"client {number}").wait == 0
        assert len(limiter._whole_at) <= 100
    assert limiter.take("client 999").wait > 0


def limited(root: Path, **serving: object) -> LoadedProject:
    write_project(root, changed(serving={**ANYWHERE, **serving}))
    return loaded_from(root)


def test_a_key_that_asks_too_often(tmp_path: Path) -> None:
    loaded = limited(tmp_path / "project", limits={"per_key": 3})
    key, other = new_key(loaded, "audiences:read"), new_key(loaded, "audiences:read")
    with server(loaded) as one:
        answers = [one.ask("/v1/audiences/users/u1", key) for _ in range(20)]
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=1'
        assert answers[0].headers["ratelimit"] == '"key";r=2;t=1'
        refused = next(each for each in answers if each.status_code == 429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        assert "3 times a second" in refused.json()["detail"]
        assert one.ask("/v1/audiences/users/u1", other).status_code == 200


def test_a_batch_counts_as_many_and_passes_a_small_limit(tmp_path: Path) -> None:
    loaded = limited(tmp_path / "project", limits={"per_key": 20})
    key = new_key(loaded, "audiences:read")
    many = {"user_ids": [f"u{number}" for number in range(1_000)]}
    with server(loaded) as one:
        answer = one.ask("/v1/audiences/users", key, "POST", json=many)
        assert answer.status_code == 200, answer.text
        assert answer.headers["ratelimit"] != '"key";r=19;t=1'
        assert answer.headers["ratelimit"].count("r=") == 1
        answers = [one.ask("/v1/audiences/users", key, "POST", json=many) for _ in range(5)]
        refused = next(each for each in answers if each.status_code == 429)
        assert refused.headers["retry-after"] == "1"


def test_an_address_that_asks_too_often(tmp_path: Path) -> None:
    loaded = limited(tmp_path / "project", limits={"per_address": 3})
    with server(loaded) as one:
        statuses = [one.ask("/v1/audiences/users/u1").status_code for _ in range(20)]
        assert statuses[:3] == [401] * 3
        assert 429 in statuses
        assert one.ask("/livez").status_code == 200


def test_behind_a_proxy_addresses_are_those_that_it_names(tmp_path: Path) -> None:
    loaded = limited(tmp_path / "project", limits={"per_address": 3}, behind_proxy=True)
    with server(loaded) as one:

        def statuses(*addresses: str) -> set[int]:
            return {
                one.ask(
                    "/v1/audiences/users/u1", headers={"X-Forwarded-For": f"made up, {address}"}
                ).status_code
                for address in addresses
            }

        assert statuses(*["192.0.2.1"] * 20) == {401, 429}
        assert statuses("192.0.2.2") == {401}
        # A network of IPv6 is one client.
        assert statuses(*(f"2001:db8::{number}" for number in range(20))) == {401, 429}
        assert statuses("2001:db8:0:1::1", "nonsense", "") == {401}
        # What the proxy adds is the last, also in a line of its own and with a port.
        made_up = [f"192.0.2.{number}" for number in range(100, 120)]
        assert {
            status_of(one, ("X-Forwarded-For", address), ("X-Forwarded-For", "192.0.2.3:5678"))
            for address in made_up
        } == {401, 429}


def status_of(one: Server, *headers: tuple[str, str]) -> int:
    """Of a request with these lines, of which several may have one name."""
    line = HTTPConnection(one.url.removeprefix("http://"), timeout=30)
    line.putrequest("GET", "/v1/audiences/users/u1")
    for name, value in headers:
        line.putheader(name, value)
    line.endheaders()
    with closing(line):
        return line.getresponse().status
