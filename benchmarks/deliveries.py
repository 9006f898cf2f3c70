"""Deliveries: how many a second reach a webhook, how soon, and whether a dead one costs others.

A server in a process of its own answers every request at once.  The lanes of this process bring it
signed transitions, one a request, from the journal of a real store; beside it, a loop over one
`requests.Session` posts the same bodies with the same signatures, as a script would.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import requests
from standardwebhooks import Webhook as Signer

from audience_dsl.definitions import Settings, Sync
from connectors.destinations.destination import Answer, Destination, Message
from connectors.destinations.place import Place
from connectors.destinations.webhook import Webhook
from connectors.wall_clock import wall_clock
from dataflows.memory import rare_cycle_search
from delivery.deliveries import Deliveries
from delivery.feed import Work
from delivery.pins import PinnedProfiles
from engine.records import TransitionRecord
from engine.transitions import EVENT_CAUSE
from membership.proposals import Proposals
from membership.reader import MembershipReader
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from membership.tail import JournalTail
from warehouse.profiles import ProfileVersions

_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_START = 1_772_323_200_000_000
HOST = "127.0.0.1"
_RESPONSE = b"HTTP/1.1 204 No Content\r\n\r\n"
_ROUNDS = 5


@dataclass(frozen=True)
class DeliveryCosts:
    """CPU microseconds a delivery, and deliveries a second, of lanes and of the bare loop.

    Milliseconds from the journal's commit to the answer at 500 a second, of the one in a hundred
    that takes longest.  `beside_dead` is how many times that it is beside a destination that
    refuses connections, or takes them and never answers, whichever costs more.
    """

    cpu: float
    bare_cpu: float
    rate: float
    bare_rate: float
    p99: float
    beside_dead: float


def delivery_costs(messages: int, seconds: float) -> DeliveryCosts:
    """Measure; `messages` are sent as fast as can be, then some at a steady pace."""
    with server() as port, silence() as silent:
        _costs_of_lanes(port, 1_000)  # what is done once in a process is not a delivery's cost
        loops, lanes = [], []
        for _ in range(_ROUNDS):
            loops.append(_costs_of_loop(port, messages // 4 // _ROUNDS))
            lanes.append(_costs_of_lanes(port, messages // _ROUNDS))
        # In turns, since what else the machine does would be taken for a difference.
        alone, refused, unanswered = [], [], []
        for _ in range(_ROUNDS):
            with office({"live": port}) as served:
                alone.append(served.p99(seconds / _ROUNDS))
            with office({"live": port, "dead": free_port()}) as served:
                refused.append(served.p99(seconds / _ROUNDS))
            with office({"live": port, "dead": silent}) as served:
                unanswered.append(served.p99(seconds / _ROUNDS))
    # The best rounds: whatever else the machine does makes a round worse.
    beside = max(min(refused), min(unanswered)) / min(alone)
    cpu, rate = (median(found) for found in zip(*lanes, strict=True))
    bare_cpu, bare_rate = (median(found) for found in zip(*loops, strict=True))
    return DeliveryCosts(cpu * 1e6, bare_cpu * 1e6, rate, bare_rate, median(alone), beside)


def _costs_of_lanes(port: int, messages: int) -> tuple[float, float]:
    """CPU seconds a delivery, and deliveries a second."""
    with office({"live": port}) as served:
        before = time.process_time()
        rate = served.rate(messages)
        return (time.process_time() - before) / messages, rate


def _costs_of_loop(port: int, messages: int) -> tuple[float, float]:
    """The same of the bare loop."""
    before = time.process_time()
    rate = _posted(port, messages)
    return (time.process_time() - before) / messages, rate


class _Answers(asyncio.Protocol):
    """As little as a server can do: it counts the headers' ends and lengths."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._transport.write(_RESPONSE)


def _serve(told: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(_Answers, HOST, 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def server() -> Iterator[int]:
    """The port of one that answers every request at once, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def silence() -> Iterator[int]:
    """The port of a server that lets everybody in and answers nobody."""
    with socket.create_server((HOST, 0), backlog=128) as listening:
        yield int(listening.getsockname()[1])


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


def _posted(port: int, messages: int) -> float:
    """What a loop over a session comes to, a second."""
    record = TransitionRecord(
        "0" * 32, "entered", "keen", "v", "users", "user-0000001", "2026-03-01T10:00:00.000000Z", 1,
        {"kind": "event", "message_id": "ajs-next-1772323200000-1"}, "2026-03-01T10:00:00.000000Z",
    )  # fmt: skip
    body = msgspec.json.encode(record).decode()
    signer = Signer(_SECRET)
    with requests.Session() as session:
        began = time.perf_counter()
        for number in range(messages):
            now = datetime.now(UTC)
            headers = {
                "webhook-id": f"{number}",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": signer.sign(f"{number}", now, body),
                "content-type": "application/json",
            }
            session.post(f"http://{HOST}:{port}/", data=body, headers=headers, timeout=10)
        return messages / (time.perf_counter() - began)


class _Timed:
    """A destination that notes when each message was answered."""

    def __init__(self, destination: Destination, answered: dict[str, float]) -> None:
        self._destination = destination
        self._answered = answered
        self.capacity = destination.capacity

    async def send(self, messages: Sequence[Message]) -> Answer:
        answer = await self._destination.send(messages)
        now = time.perf_counter()
        for one in messages:
            self._answered.setdefault(one.user_id, now)
        return answer

    async def test(self) -> None:
        await self._destination.test()

    async def close(self) -> None:
        await self._destination.close()


class Office:
    def __init__(self, store: MembershipStore, tail: JournalTail, answered: dict[str, float]):
        self._store = store
        self._tail = tail
        self._answered = answered
        self._users = 0

    def rate(self, messages: int, *, behind: int | None = None) -> float:
        """Deliveries a second, of what the journal has all at once, or of so much at a time."""
        began = time.perf_counter()
        for number in range(messages // 1_000):
            self._record(1_000)
            if behind is not None:
                self._await((number + 1) * 1_000 - behind)
        self._await(messages)
        return messages / (max(self._answered.values()) - began)

    def p99(self, seconds: float) -> float:
        """Milliseconds from the journal to the answer, of 500 a second, ten at a time."""
        written: dict[str, float] = {}
        begin = time.perf_counter()
        for step in range(int(seconds * 50)):
            time.sleep(max(0.0, begin + step / 50 - time.perf_counter()))
            users = self._record(10)
            written |= dict.fromkeys(users, time.perf_counter())
        self._await(len(written))
        taken = sorted(self._answered[user] - at for user, at in written.items())
        return taken[len(taken) * 99 // 100] * 1e3

    def _record(self, count: int) -> list[str]:
        users = [f"user-{number:07d}" for number in range(self._users, self._users + count)]
        self._users += count
        proposals = Proposals(
            "users", 0, ("keen",), ("v",), users, [0] * count, [_START] * count, [1] * count,
            [EVENT_CAUSE] * count, [f"ajs-next-{user}" for user in users],
        )  # fmt: skip
        self._tail.announce(self._store.record([proposals], wall_clock()))
        return users

    def _await(self, messages: int) -> None:
        deadline = time.monotonic() + 120
        while len(self._answered) < messages and time.monotonic() < deadline:
            time.sleep(0.01)


@contextmanager
def office(ports: Mapping[str, int]) -> Iterator[Office]:
    """The deliveries of a process, with a sync to each of these ports; that of `live` is timed."""
    answered: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        held.enter_context(rare_cycle_search())  # as the job does
        path = Path(folder) / "store.db"
        store = held.enter_context(closing(MembershipStore(SqliteDatabase(path, writable=True))))
        store.claim([("users", 0)])
        reader = held.enter_context(closing(MembershipReader(SqliteDatabase(path, writable=False))))
        tail = JournalTail(reader)
        place = Place(Path(folder), lambda _: None)

        def opened(sync: Sync) -> Destination:
            options = {
                "url": f"http://{HOST}:{ports[sync.key]}/",
                "secret": _SECRET,
                "allow_http": True,
                "allow_private_hosts": [HOST],
            }
            webhook = Webhook(Settings(sync.key, "webhook", options), place)
            return _Timed(webhook, answered if sync.key == "live" else {})

        syncs = [Sync(key, "keen", key) for key in ports]
        versions = ProfileVersions(Path(), "users", None)
        profiles = PinnedProfiles("users", list(ports), versions, lambda _: None)
        works = [Work(sync, "users", "v", profiles) for sync in syncs]
        deliveries = held.enter_context(closing(Deliveries(works, opened, lambda _: None)))
        deliveries.begin(store.ledger, reader, tail, lambda: None)
        yield Office(store, tail, answered)
