"""What recovery costs: speed with the state of a million users, and how soon a job goes on.

The job follows a folder, and writes nothing but its state.  A first file makes it remember a
million users.  When it has read that, a second file of further events appears, drawn as in the
standard recording: some users come often, most seldom, and whoever comes stays for a session.  How
long it takes to read the second file is measured twice, with state stored every second and with
nothing stored at all, in processes of their own that take turns.  By the wall clock, too: a job
that waits for the disk is slow.

Then the job that stored its state is started again, and asked for the first transition that it
could not have told without the state.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from benchmarks.process import Failed
from benchmarks.suites import write_project
from benchmarks.workload import DAY, PATHS, SESSION_EVENTS, SESSION_GAP, ZIPF
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from connectors.wall_clock import wall_clock
from dataflows.job import run_job
from dataflows.ownership import sole_job
from dataflows.preparation import prepare_job
from dataflows.realtime import realtime_flow
from dataflows.running import run_flow
from dataflows.steps import GroupTransitions
from engine.group import Counts
from project.folder import load_project

USERS = 1_000_000
_BLOCK = 100_000
_PATIENCE = 600


@dataclass(frozen=True)
class Spent:
    """Seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Recovery:
    """What it costs to store state, as a multiple of not doing so, and a restart in seconds."""

    wall: float
    cpu: float
    restart: float
    stored_bytes: int


def recovery(folder: Path, users: Path, *, events: int, rounds: int) -> Recovery:
    """Measure with a warehouse of those users; `events` are in the second file.

    Raises:
        Failed: a job does not come to its end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _write(folder / "first.jsonl", np.arange(USERS), "f")
    _write(folder / "second.jsonl", _visits(events), "s")
    _write(folder / "probe.jsonl", np.full(20, USERS - 1), "p")
    without, stored = [], []
    for _ in range(rounds):
        without.append(_measured("without", folder, users, events))
        stored.append(_measured("stored", folder, users, events))
    state = sum(one.stat().st_size for one in (folder / "project/.usher/state").iterdir())
    restart = _measured("restart", folder, users, events)
    return Recovery(
        wall=min(one.wall for one in stored) / min(one.wall for one in without),
        cpu=median(one.cpu for one in stored) / median(one.cpu for one in without),
        restart=restart.wall,
        stored_bytes=state,
    )


def _measured(mode: str, folder: Path, users: Path, events: int) -> Spent:
    module = [sys.executable, "-m", "benchmarks.recovery"]
    command = [*module, mode, str(folder), str(users), str(events)]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"measuring recovery ({mode}) took more than {_PATIENCE} s") from error
    if done.returncode != 0:
        raise Failed(f"measuring recovery ({mode}) failed:\n{done.stderr[-2000:]}")
    wall, cpu, at = json.loads(done.stdout)
    return Spent(at - began if mode == "restart" else wall, cpu)


def _write(path: Path, users: npt.NDArray[np.int64], prefix: str) -> None:
    """Page views of the users, in this order, recent enough to be remembered."""
    now = datetime.now(UTC).isoformat()
    with path.open("w") as file:
        for first in range(0, len(users), _BLOCK):
            file.writelines(
                f'{{"type":"page","messageId":"{prefix}{number}","userId":"u{user:06d}","timestamp":'
                f'"{now}","properties":{{"path":"{PATHS[number % len(PATHS)]}","channel":'
                f'"email"}}}}\n'
                for number, user in enumerate(users[first : first + _BLOCK].tolist(), first)
            )


def _visits(events: int) -> npt.NDArray[np.int64]:
    """The users of that many events of a day, in order, in sessions as in the recording."""
    random = np.random.default_rng(11)
    sessions = events // SESSION_EVENTS
    weights = np.arange(1, USERS + 1) ** -ZIPF
    ranks = random.choice(USERS, sessions, p=weights / weights.sum())
    users = np.repeat(random.permutation(USERS)[ranks], SESSION_EVENTS)
    begins = np.repeat(random.integers(0, DAY, sessions), SESSION_EVENTS)
    gaps = random.exponential(SESSION_GAP, (sessions, SESSION_EVENTS))
    chosen: npt.NDArray[np.int64] = users[np.argsort(begins + np.cumsum(gaps, axis=1).ravel())]
    return chosen


class _Stopwatch:
    """Outputs that take the time, and do nothing else.

    `files` says how many events each file has.  When the first one has been read, the second one
    is offered; when all have, what is told next ends the job.
    """

    def __init__(self, project: Path, files: list[int]) -> None:
        self.stop = threading.Event()
        self.giving_way = nullcontext  # nobody brings anything out
        self.wall = self.cpu = self.told_at = 0.0
        self._project = project
        self._left = files

    def count(self, _source: str, batch: Batch) -> None:
        if not self._left:
            return
        self._left[0] -= batch.received
        if self._left[0] == 0:
            self._left.pop(0)
            if self._left:  # once what was read is evaluated and stored
                threading.Timer(3.0, self._offer_second).start()
            else:
                self.wall += time.monotonic()
                self.cpu += time.process_time()
                self.stop.set()

    def _offer_second(self) -> None:
        self.wall -= time.monotonic()
        self.cpu -= time.process_time()
        _offer(self._project, "second")

    def begin(self) -> None:
        """Nothing is needed."""

    def take(self, found: Sequence[GroupTransitions]) -> None:  # noqa: ARG002
        self.told_at = self.told_at or time.monotonic()
        if not self._left:
            self.stop.set()

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError(letters)

    def count_evaluated(self, counts: Counts) -> None:
        """Nobody asks."""

    def tell_time(self, clock: int, reached: Mapping[str, int], *, has_caught_up: bool) -> None:
        """What matters here is when it answers."""

    def failed(self, error: Exception) -> None:
        raise error

    def warming(self, conditions: Mapping[str, int]) -> None:
        if conditions:
            raise AssertionError(conditions)

    def settle(self) -> None:
        """Nothing is kept."""


def _offer(project: Path, name: str) -> None:
    os.link(project.parent / f"{name}.jsonl", project / "live" / f"{name}.jsonl")


def _run(mode: str, folder: Path, users: Path, events: int) -> None:
    """The measured process; prints wall and CPU seconds, and when it told something first."""
    project = folder / "project"
    if mode == "restart":
        stopwatch = _Stopwatch(project, [])
        _offer(project, "probe")
    else:
        shutil.rmtree(project, ignore_errors=True)
        write_project("five", project, users, "live/*.jsonl")
        (project / "live").mkdir()
        stopwatch = _Stopwatch(project, [USERS, events])
        _offer(project, "first")
    loaded = load_project(project).loaded
    assert loaded is not None
    job = replace(prepare_job(loaded, wall_clock(), stopwatch), stop=stopwatch.stop)
    with sole_job(project):
        if mode == "without":
            run_flow(realtime_flow(job), workers=1, epoch=timedelta(hours=1))
        else:
            run_job(job)
    print(json.dumps([stopwatch.wall, stopwatch.cpu, stopwatch.told_at]))


if __name__ == "__main__":
    _run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
