"""How late the live job is while a pulled snapshot takes force.

Events are appended at a steady rate, as in `benchmarks.live`.  In their midst one user in a hundred
changes in the warehouse, and `usher pull` is run.  Compared are the latencies of events before the
pull began, and of those from its publication until the last transition that it caused was on disk.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from benchmarks.live import Watch, append, await_start, job
from benchmarks.process import Failed, cost_of
from benchmarks.suites import write_project

_EACH = 100  # one in so many users moves


@dataclass(frozen=True)
class SwitchLatencies:
    """Milliseconds of entries before the pull and around the switch; seconds that this took."""

    before: list[float]
    around: list[float]
    seconds: float

    @property
    def added(self) -> float:
        """What the switch adds to the 99th percentile."""
        return float(np.percentile(self.around, 99) - np.percentile(self.before, 99))

    @property
    def worst(self) -> float:
        return max(self.around)


def switch_latencies(folder: Path, *, users: int, seconds: float) -> SwitchLatencies:
    """Run the live job on a stream of that length, over so many users.

    Raises:
        Failed: the job or the pull does, or nothing came of it.
    """
    shutil.rmtree(folder, ignore_errors=True)
    stream = folder / "live" / "events.jsonl"
    stream.parent.mkdir(parents=True)
    stream.touch()
    written = folder / "transitions.jsonl"
    _write_users(folder, users, ltv=100.0)
    write_project(
        "pulled",
        folder,
        Path("users.parquet"),
        "live/*.jsonl",
        destinations={"archive": {"type": "file", "path": "transitions.jsonl"}},
        syncs={key: {"audience": key, "destination": "archive"} for key in ("active", "valuable")},
    )
    cost_of("-C", folder, "pull")
    _write_users(folder, users, ltv=500.0)
    os.sync()  # the job is not to wait for the disk to take what was measured before
    with job(folder) as one, Watch(written) as watch, stream.open("ab") as file:
        await_start(one, watch, file)
        pull = _Pull(folder, after=seconds / 3)
        appended = append(file, seconds)
        pull.join()
        deadline = time.monotonic() + 10
        while len(watch.pulled) < users // _EACH and time.monotonic() < deadline:
            time.sleep(0.05)
    if pull.failed or len(watch.pulled) != users // _EACH:
        raise Failed(f"the pull moved {len(watch.pulled)} users: {pull.failed}")
    last = watch.pulled[-1]
    entries = [(at, (watch.entries[id_] - at) * 1e3) for id_, at in appended.items()
               if id_ in watch.entries]  # fmt: skip
    before = [latency for at, latency in entries if at < pull.began]
    around = [latency for at, latency in entries if pull.published <= at <= last]
    if not before or not around:
        raise Failed("nothing happened before or after the pull; the stream is too short")
    return SwitchLatencies(before, around, last - pull.published)


class _Pull(threading.Thread):
    """`usher pull` after some seconds; when it began, and when its version was in force."""

    def __init__(self, folder: Path, after: float) -> None:
        super().__init__()
        self.began = self.published = 0.0
        self.failed = ""
        self._folder = folder
        self._after = after
        self.start()

    def run(self) -> None:
        time.sleep(self._after)
        self.began = time.time()
        try:
            cost_of("-C", self._folder, "pull")
        except Failed as failed:
            self.failed = str(failed)
        pointer = self._folder / ".usher" / "snapshots" / "users" / "current"
        self.published = pointer.stat().st_mtime


def _write_users(folder: Path, users: int, ltv: float) -> None:
    """One in a hundred has that value, the others less than any audience asks for."""
    values = np.full(users, 10.0)
    values[::_EACH] = ltv
    ids = [f"u{number:06d}" for number in range(users)]
    columns = {"user_id": ids, "plan": ["free"] * users, "ltv": values, "country": ["DE"] * users}
    aside = folder / "users.part"
    pq.write_table(pa.table(columns), aside)
    aside.rename(folder / "users.parquet")
