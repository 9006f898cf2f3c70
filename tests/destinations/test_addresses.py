"""Nothing is sent into an inner network, however its address is spelt or hidden."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Outcome, Verdict
from connectors.destinations.errors import DestinationError
from connectors.destinations.http import lookups
from connectors.destinations.http.addresses import AllowedHosts, is_inner, read_address
from connectors.destinations.http.channel import Channel
from connectors.destinations.http.exchange import Reply, Request
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from tests.cli.jobs import PATIENCE
from tests.destinations.kinds import run
from tests.destinations.servers import Server, answer, serving
from tests.dsl.projects import compiled

# Spellings that a URL can have of this machine, its neighbours, and what clouds tell machines.
SPELLINGS = [
    "127.0.0.1", "127.0.0.1.", "127.0.0.1:80", "127.1", "127.0.1", "127.255.255.254", "0",
    "0.0.0.0",
    "2130706433", "017700000001", "0177.0.0.1", "0177.0.0.01", "0x7f000001", "0x7f.0.0.1",
    "0x7F.0x0.0x0.0x1", "0x7f.1", "127.0x0.1", "00127.0.0.1", "localhost", "LOCALHOST",
    "localhost.",
    "a.localhost", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25lo]",
    "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[100::1]",
    "192.0.0.8", "192.0.0.192", "[2002:808:808::1]", "[2001:1::1]", "[2001:20::1]",
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.0.0.1",
    "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "100.64.0.1", "100.127.255.255",
    "169.254.169.254", "169.254.170.2", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::]", "100.100.100.200", "168.63.129.16",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "①②⑦.⓪.⓪.①", "127。0。0。1", "ⓛocalhost", "user@127.0.0.1", "example.com@127.0.0.1",
    "127.0.0.1\\@example.com", "example.com%00.127.0.0.1", "127.0.0.1%20", "", "[::1", "::1",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("kind", ["webhook", "http"])
def test_no_spelling_of_an_inner_address_passes(kind: str, host: str) -> None:
    with pytest.raises(DestinationError, match="the URL of destination 'd'"):
        open_destination(
            Settings("d", kind, {"url": f"https://{host}/hook"}), Place(Path(), lambda _: None)
        )


PUBLIC = [
    "example.com",
    "EXAMPLE.com.",
    "a_b.example",
    "8.8.8.8",
    "[2606:4700::1111]",
    "xn--p1ai.example",
]


@pytest.mark.parametrize("host", PUBLIC)
def test_the_internet_is_sent_to(host: str) -> None:
    open_destination(
        Settings("d", "webhook", {"url": f"https://{host}:8443/hook"}),
        Place(Path(), lambda _: None),
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://127.0.0.1/x", "the host is in an inner network"),
        ("https://0x7f.1/x", "the host is an address in an unusual spelling"),
        ("http://example.com/x", "http:// is not encrypted"),
        ("https://u:p@example.com/x", "a URL has no place for a user or a password"),
        ("https://example.com:99999/x", "this is not a URL"),
    ],
)
def test_it_is_told_where_it_stands(url: str, message: str) -> None:
    (one,) = compiled(f"destinations:\n  d: {{type: webhook, url: '{url}'}}").diagnostics
    assert (one.line, one.column, one.message) == (2, 27, message)
    assert one.help


class Names(AbstractResolver):
    """Answers one look-up after another with the next of its addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = iter(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=one, port=port, proto=0, flags=0,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
            )
            for one in next(self._answers)
        ]  # fmt: skip

    async def close(self) -> None:
        pass


async def asked(resolver: Names, url: str, **options: Any) -> Any:
    channel = Channel("d", url, {"allow_http": True, **options}, Place(Path(), print), resolver)
    try:
        return await channel.ask(Request("POST", "/"))
    finally:
        await channel.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1",
                                     "10.0.0.7", "64:ff9b::a00:7", "fe80::1"])  # fmt: skip
def test_a_name_that_leads_inside_is_not_connected_to(address: str) -> None:
    async def story() -> None:
        async with serving(answer(200)) as server:
            outcome = await asked(Names([address]), f"http://inner.example:{server.port}/")
            assert outcome.verdict is Verdict.REFUSED
            assert "inner.example leads into an inner network" in outcome.reason
            both = await asked(Names([address, "::1"]), f"http://inner.example:{server.port}/")
            assert both.verdict is Verdict.REFUSED
            assert server.asked == []

    run(story())


def test_a_name_that_changes_its_mind_is_not_followed() -> None:
    """The address that is looked at is the one that is connected to, each time anew."""

    async def story() -> None:
        async with serving(answer(200)) as server:
            url = f"http://rebinding.example:{server.port}/"
            names = Names(["127.0.0.2"], ["127.0.0.1"])
            first = await asked(names, url, allow_private_hosts=["127.0.0.2"])
            assert first.verdict is Verdict.RETRY  # allowed, and nobody is there
            second = await asked(names, url, allow_private_hosts=["127.0.0.2"])
            assert second.verdict is Verdict.REFUSED
            assert server.asked == []

    run(story())


@pytest.mark.parametrize(
    "allowed", ["inner.example", "INNER.example.", "127.0.0.1", "127.0.0.0/8", "127.0.0.1/32"]
)
def test_what_is_allowed_is_sent_to(allowed: str) -> None:
    async def story() -> None:
        async with serving(answer(200)) as server:
            url = f"http://inner.example:{server.port}/"
            reply = await asked(Names(["127.0.0.1"]), url, allow_private_hosts=[allowed])
            assert isinstance(reply, Reply)
            assert reply.status == 200
            assert server.asked[0].headers["host"] == f"inner.example:{server.port}"

    run(story())


def test_what_else_is_allowed_does_not_help() -> None:
    async def story() -> None:
        async with serving(answer(200)) as server:
            for allowed in ("other.example", "10.0.0.0/8", "::1", "127.0.0.2"):
                url = f"http://inner.example:{server.port}/"
                outcome = await asked(Names(["127.0.0.1"]), url, allow_private_hosts=[allowed])
                assert outcome.verdict is Verdict.REFUSED

    run(story())


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with serving(answer(500)) as proxy, serving(answer(200)) as server:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            options = {"allow_private_hosts": ["127.0.0.1"]}
            reply = await asked(Names([]), server.url + "/", **options)
            assert reply.status == 200
            assert proxy.asked == []

    run(story())


class System:
    """Where names lead, as the system says; who asks for one that is slow waits for `go_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self._ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._lead)

    def _lead(self, host: Any, *rest: Any, **more: Any) -> Any:
        if "slow" in str(host):
            self.go_on.wait(PATIENCE)
        return self._ask("127.0.0.1" if "example" in str(host) else host, *rest, **more)


def to(server: Server, name: str, *allowed: str) -> Channel:
    options = {"allow_http": True, "allow_private_hosts": list(allowed)}
    url = f"http://{name}:{server.port}/"
    return Channel("d", url, options, Place(Path(), lambda _: None))


def test_names_that_hang_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        system = System(monkeypatch)
        async with serving(answer(200)) as server:
            names = [f"slow{number}.example" for number in range(40)]
            channels = [to(server, name, name) for name in names]
            hanging = [asyncio.create_task(one.ask(Request("GET", "/"))) for one in channels]
            await asyncio.sleep(0.1)
            other = to(server, "quick.example", "quick.example")
            try:
                reply = await asyncio.wait_for(other.ask(Request("GET", "/")), 5)
                assert isinstance(reply, Reply)
                assert not any(one.done() for one in hanging)
            finally:
                system.go_on.set()
            assert {type(one) for one in await asyncio.gather(*hanging)} == {Reply}
            for one in (*channels, other):
                await one.close()

    run(story())


def test_a_name_that_hangs_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        system = System(monkeypatch)
        monkeypatch.setattr(lookups, "_LONGEST", 0.1)
        async with serving(answer(200)) as server:
            channel = to(server, "slow.example", "slow.example")
            for _ in range(2):
                outcome = await channel.ask(Request("GET", "/"))
                assert outcome == Outcome(Verdict.RETRY, "slow.example cannot be looked up")
            system.go_on.set()
            monkeypatch.setattr(lookups, "_LONGEST", PATIENCE)
            assert isinstance(await channel.ask(Request("GET", "/")), Reply)
            await channel.close()

    run(story())


def test_closing_waits_for_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        system = System(monkeypatch)
        async with serving(answer(200)) as server:
            channel = to(server, "slow.example", "slow.example")
            hanging = asyncio.create_task(channel.ask(Request("GET", "/")))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            await channel.close()
            assert time.monotonic() - began < 2
            system.go_on.set()
            await asyncio.wait([hanging])

    run(story())


def test_where_the_system_leads_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        System(monkeypatch)
        async with serving(answer(200)) as server:
            channel = to(server, "quick.example")
            outcome = await channel.ask(Request("GET", "/"))
            await channel.close()
            assert isinstance(outcome, Outcome)
            assert outcome.verdict is Verdict.REFUSED
            assert server.asked == []

    run(story())


def test_public_addresses_inside_others() -> None:
    for inner in ("::ffff:8.8.8.8", "64:ff9b::808:808"):
        address = read_address(inner)
        assert address is not None
        assert not is_inner(address), "what is inside decides"
    assert AllowedHosts.read(["https://x", "a b", "10.0.0.0/8", "x.example"]).malformed == (0, 1)
