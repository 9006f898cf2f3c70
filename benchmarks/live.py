"""How late the live job is: from an event's line in a followed file to the entry on disk.

Events are appended at a steady rate while another thread reads what the job writes.  When the
stream has stopped, members leave as their windows age out, with nothing arriving that could
prompt it; how long after its exact instant each of these exits is on disk is the second result.
Everything is seen from outside, with one machine clock.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

import msgspec
import numpy as np

from benchmarks.process import USHER, Failed
from benchmarks.suites import write_project
from benchmarks.workload import Workload

RATE = 2_000
USERS = 5_000
STEP = 0.005
WINDOW = 5
START_WITHIN = 60.0


@dataclass(frozen=True)
class Latencies:
    """Milliseconds, one an entry during the stream and one an exit after it."""

    entries: list[float]
    exits: list[float]

    def entry(self, percentile: float) -> float:
        return float(np.percentile(self.entries, percentile))

    def exit(self, percentile: float) -> float:
        return float(np.percentile(self.exits, percentile))


def latencies(recording: Workload, folder: Path, *, seconds: float) -> Latencies:
    """Run the live job on a stream of that length.

    Raises:
        Failed: the job does not start, ends by itself or tells nothing.
    """
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()  # the job is not to wait for the disk to take what was measured before
    stream = folder / "live" / "events.jsonl"
    stream.parent.mkdir(parents=True)
    stream.touch()
    written = folder / "transitions.jsonl"
    _write_live_project(folder, recording.users)
    with job(folder) as one, Watch(written) as watch, stream.open("ab") as file:
        await_start(one, watch, file)
        appended = append(file, seconds)
        idle_from = time.time() + 1.0
        time.sleep(WINDOW + 2.0)
    entries = [
        (watch.entries[id_] - at) * 1e3 for id_, at in appended.items() if id_ in watch.entries
    ]
    exits = [(seen - due) * 1e3 for due, seen in watch.exits if due > idle_from]
    if not entries or not exits:
        raise Failed(f"the live job wrote {len(entries)} entries and {len(exits)} exits")
    return Latencies(entries, exits)


def _write_live_project(folder: Path, users: Path) -> None:
    write_project(
        "live",
        folder,
        users,
        "live/*.jsonl",
        destinations={"archive": {"type": "file", "path": "transitions.jsonl"}},
        syncs={"archived": {"audience": "active", "destination": "archive"}},
    )


@contextlib.contextmanager
def job(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "job.log").open("wb") as log:
        process = subprocess.Popen([USHER, "-C", folder, "run"], stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class _Transition(msgspec.Struct):
    type: str
    effective_at: datetime
    cause: dict[str, str]


class Watch:
    """Reads the growing file of transitions and remembers when each line was first seen.

    `entries` are by message id; `exits` are with the instants at which they were due; `pulled` are
    what a pull has caused.
    """

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, float] = {}
        self.exits: list[tuple[float, float]] = []
        self.pulled: list[float] = []
        self._path = path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        decode = msgspec.json.Decoder(_Transition).decode
        while not self._path.exists():
            if self._end.wait(0.01):
                return
        rest = b""
        with self._path.open("rb") as file:
            while not self._end.wait(0.001):
                *lines, rest = (rest + file.read()).split(b"\n")
                seen = time.time()
                for transition in map(decode, lines):
                    if transition.cause["kind"] == "warehouse_pull":
                        self.pulled.append(seen)
                    elif transition.type == "entered":
                        self.entries.setdefault(transition.cause.get("message_id", ""), seen)
                    else:
                        self.exits.append((transition.effective_at.timestamp(), seen))


def await_start(job: subprocess.Popen[bytes], watch: Watch, file: BinaryIO) -> None:
    """Append probes until one has caused an entry."""
    until = time.monotonic() + START_WITHIN
    probe = 0
    while not watch.entries:
        if job.poll() is not None or time.monotonic() > until:
            raise Failed(f"the live job did not start; see {job.args!r} and its job.log")
        file.write(_line(0, f"probe-{probe}", time.time()))
        file.flush()
        probe += 1
        time.sleep(0.1)


def append(file: BinaryIO, seconds: float) -> dict[str, float]:
    """Append events at the rate; return the instant at which each was on disk, by message id."""
    random = np.random.default_rng(5)
    users = iter(random.integers(1, USERS, int(RATE * seconds) + RATE).tolist())
    appended: dict[str, float] = {}
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        now = time.time()
        ids = [f"event-{number}" for number in range(len(appended), int(elapsed * RATE))]
        lines = [_line(next(users), id_, now) for id_ in ids]
        file.write(b"".join(lines))
        file.flush()
        appended |= dict.fromkeys(ids, now)
        time.sleep(STEP)
    return appended


def _line(user: int, id_: str, at: float) -> bytes:
    instant = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    instant = instant.replace("+00:00", "Z")
    return (
        f'{{"type":"page","messageId":"{id_}","userId":"u{user:06d}","timestamp":"{instant}",'
        f'"receivedAt":"{instant}","properties":{{"path":"/pricing"}}}}\n'
    ).encode()
