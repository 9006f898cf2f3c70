"""A destination that is down for a while gets everything when it is back, whatever its kind.

For ten minutes of a clock that is set, and for some seconds of the one on the wall: a minute in
`make soak`, because lanes then wait for two more until they try again.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

from audience_dsl.definitions import Sync
from connectors.destinations.destination import Verdict
from delivery.backoff import LONGEST
from delivery.deliveries import Deliveries
from delivery.entries import Entry
from delivery.feed import Work
from delivery.lane import Lane
from delivery.pins import PinnedProfiles
from membership.deliveries import Remembered, SyncStatus
from tests.cli.jobs import PATIENCE
from tests.delivery.test_deliveries import Office
from tests.destinations.gate import Gate
from tests.destinations.kinds import KINDS, message, opened, run
from tests.destinations.servers import Asked, answer, close, serving
from warehouse.profiles import ProfileVersions

SECOND = 1_000_000
TEN_MINUTES = 600 * SECOND
DOWN = float(os.environ.get("USHER_OUTAGE_SECONDS", "4"))
USERS, STEPS = 6, 4

ENTRIES = [
    Entry(step * USERS + user + 1, message(f"u{user}", sequence=step + 1))
    for step in range(STEPS)
    for user in range(USERS)
]

# What every vendor takes for a yes.
YES = answer(200, {"failCount": 0, "code": 200})


@pytest.mark.parametrize("kind", KINDS)
def test_ten_minutes(kind: str) -> None:
    taken: list[tuple[str, int]] = []
    requests = 0

    async def story() -> None:
        nonlocal requests
        is_down = True
        chance = Random(kind)

        async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await (close if is_down else YES)(asked, writer)

        async with serving(behave) as server:
            one = opened(kind, server.url)
            lane = Lane("s", one.capacity, Remembered(0))
            now = 0
            while lane.cursor < len(ENTRIES) or lane.parked:
                if lane.wants_journal and lane.position < len(ENTRIES):
                    page = ENTRIES[lane.position : lane.position + 5]
                    lane.read(page, page[-1].position, now)
                batch = lane.next_batch(now)
                if batch is None:
                    due = lane.due(now)
                    now = now + SECOND if due is None else max(due, now + 1)
                    is_down = now < TEN_MINUTES
                    continue
                requests += is_down
                said = await one.send(batch.messages)
                taken.extend(
                    (each.user_id, int(str(each.record["sequence"])))
                    for each, outcome in zip(batch.messages, said.outcomes, strict=True)
                    if outcome.verdict is Verdict.ACCEPTED
                )
                lane.answered(batch, said, now, chance.random())
            await one.close()
        assert now <= TEN_MINUTES + LONGEST + 60 * SECOND
        assert lane.state.status is SyncStatus.RUNNING
        assert lane.state.dead == 0

    run(story())
    everything = {(f"u{user}", step + 1) for user in range(USERS) for step in range(STEPS)}
    assert sorted(taken) == sorted(everything)
    for user in range(USERS):
        assert [step for who, step in taken if who == f"u{user}"] == [1, 2, 3, 4]
    assert requests <= 60


@contextmanager
def served() -> Iterator[int]:
    """A server that says yes, in a thread of its own; its port."""
    ports: list[int] = []
    begun, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(YES) as server:
            ports.append(server.port)
            begun.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        yield ports[0]
    finally:
        over.set()
        thread.join()


def test_on_the_wall(tmp_path: Path) -> None:
    with ExitStack() as held:
        office = Office(tmp_path / "store.db", held)
        gate = Gate(("127.0.0.1", held.enter_context(served())))
        held.callback(gate.close)
        gate.turn("shut")
        profiles = PinnedProfiles(
            "users", KINDS, ProfileVersions(tmp_path, "users", None), office.said.append
        )
        works = [Work(Sync(kind, "keen", kind), "users", "v1", profiles) for kind in KINDS]
        url = f"http://127.0.0.1:{gate.port}"
        deliveries = Deliveries(works, lambda sync: opened(sync.key, url), office.said.append)
        held.callback(deliveries.close)
        deliveries.begin(office.store.ledger, office.reader, office.tail, lambda: None)
        office.record("ann+1 ben+1 ann-2 ann+3 cid+1 ben-2")
        time.sleep(DOWN)
        log = office.reader.deliveries
        assert {one.sent for one in log.states().values()} == {0}
        gate.turn("open")
        deadline = time.monotonic() + PATIENCE + 5 * DOWN
        while {one.sent for one in log.states().values()} != {6}:
            assert time.monotonic() < deadline, log.states()
            time.sleep(0.2)
        assert {one.dead for one in log.states().values()} == {0}
        assert not any(log.waiting(kind) for kind in KINDS)
