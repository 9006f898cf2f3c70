"""The collector's log: what an append costs beside a bare write that is made durable.

The same batches are written and made durable one after the other by a bare loop.  Then clients
append as fast as they are answered, many side by side, and at a steady pace.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from connectors.collected.log import CollectedLog

_CLIENTS = 200
_PACE = 2_000  # events a second
_STEPS = 500  # a second, at that pace
_ALONE = 500
_ROUNDS = 5


@dataclass(frozen=True)
class CollectedCosts:
    """What an event costs the process, in microseconds of CPU time, and events a second.

    Milliseconds that the slowest append of a hundred took at 2,000 a second; and the slowest write
    of a bare loop that makes as many durable, four at a time.
    """

    cpu: float
    rate: float
    bare_rate: float
    p99: float
    bare_p99: float


def collected_costs(events: int, seconds: float) -> CollectedCosts:
    """Measure; `events` are appended as fast as can be, then some at a steady pace."""
    bare_rate = _ALONE / sum(_bare(_ALONE, 1, 0.0))
    p99, bare_p99 = [], []
    with _log() as log:
        before = time.process_time()
        rate = asyncio.run(_as_fast_as_can_be(log, events))
        cpu = (time.process_time() - before) / events
        # In turns, since what else the disk does would be taken for a difference.
        for _ in range(_ROUNDS):
            p99.append(_slowest(asyncio.run(_steadily(log, seconds / _ROUNDS))))
            writes = int(seconds / _ROUNDS * _STEPS)
            bare_p99.append(_slowest(_bare(writes, _PACE // _STEPS, 1 / _STEPS)))
    return CollectedCosts(cpu * 1e6, rate, bare_rate, median(p99) * 1e3, median(bare_p99) * 1e3)


def _event(number: int) -> dict[str, object]:
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": f"user-{number % 100_000}",
        "messageId": f"ajs-next-1772323200000-{number}",
        "timestamp": "2026-03-01T10:00:00.000000Z",
        "receivedAt": "2026-03-01T10:00:00.000000Z",
        "properties": {"path": "/pricing", "price": 49.9, "sku": "G-32"},
        "context": {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0 (X11; Linux x86_64)"},
    }


@contextmanager
def _log() -> Iterator[CollectedLog]:
    folder = Path(tempfile.mkdtemp(prefix="usher-collected-"))
    try:
        with closing(CollectedLog(folder / ".usher" / "collected" / "web", "segment")) as log:
            yield log
    finally:
        shutil.rmtree(folder)


async def _as_fast_as_can_be(log: CollectedLog, events: int) -> float:
    """Events a second of clients that wait for each answer."""
    numbers = iter(range(events))

    async def client() -> None:
        for number in numbers:
            await log.keep(log.records_of([_event(number)]))

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_CLIENTS)))
    return events / (time.perf_counter() - began)


async def _steadily(log: CollectedLog, seconds: float) -> list[float]:
    """How long each append took, of so many a second."""
    taken: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        await log.keep(log.records_of([_event(number)]))
        taken.append(time.perf_counter() - began)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for step in range(int(seconds * _STEPS)):
            await asyncio.sleep(max(0.0, begin + step / _STEPS - time.perf_counter()))
            for number in range(_PACE // _STEPS):
                group.create_task(one(step * 10 + number))
    return taken


def _slowest(taken: Sequence[float]) -> float:
    """Of a hundred."""
    return sorted(taken)[len(taken) * 99 // 100]


def _bare(writes: int, events: int, every: float) -> list[float]:
    """How long each write of some events took that was made durable; one begins `every` seconds."""
    folder = Path(tempfile.mkdtemp(prefix="usher-collected-"))
    descriptor = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken: list[float] = []
    try:
        begin = time.perf_counter()
        for number in range(writes):
            content = json.dumps(_event(number)).encode() * events
            time.sleep(max(0.0, begin + number * every - time.perf_counter()))
            began = time.perf_counter()
            os.write(descriptor, content)
            os.fdatasync(descriptor)
            taken.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        shutil.rmtree(folder)
    return taken
