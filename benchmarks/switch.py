"""What a switch costs a running job: time in which nothing else is evaluated, memory, and disk.

Two snapshots are written as a pull leaves them, the second with another bit, and some other users,
for one in a hundred.  A fresh process populates all key groups from the first, and then gives them
the second; a tenth of the users are members without any event.  The snapshots' own pages are not
counted: they are the system's, shared by all processes and given back when somebody needs them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.process import Failed
from engine.group import KeyGroup
from engine.hashing import GROUPS, stable_hashes
from engine.inputs import Snapshot
from engine.plan import All, Audience, Condition, Int32s, Int64s, Performed, Plan, Predicate
from engine.texts import Texts

_START = 1_772_323_200_000_000
_DIGITS = 12
_ARRAYS = ("user_data", "user_starts", "hashes", "pattern_of", "patterns")


@dataclass(frozen=True)
class Switched:
    """Of all key groups: seconds of CPU time; bytes of memory, and of state to be stored after it.

    `whole` is the same had everybody been looked at.
    """

    seconds: float
    whole_seconds: float
    memory: int
    stored: int
    whole_stored: int


def switched(folder: Path, *, users: int, moved: int) -> Switched:
    """Measure with so many users, of whom so many move.

    Raises:
        Failed: the measured process does.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for mode in ("write", "measure"):
        command = [sys.executable, "-m", "benchmarks.switch", mode, str(folder)]
        done = subprocess.run(
            [*command, str(users), str(moved)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"measuring a switch ({mode}) failed:\n{done.stderr[-2000:]}")
    return Switched(**json.loads(done.stdout))


def _write(folder: Path, users: int, moved: int) -> None:
    random = np.random.default_rng(28)
    numbers = np.arange(users)
    pattern_of = (random.random(users) < 0.1).astype(np.int32)
    _write_snapshot(folder / "before", numbers, pattern_of)
    some = random.choice(users, moved, replace=False)
    pattern_of[some] ^= 1
    numbers[some[: moved // 10]] += users  # who went, and somebody who came
    _write_snapshot(folder / "after", numbers, pattern_of)


def _write_snapshot(folder: Path, numbers: Int64s, pattern_of: Int32s) -> None:
    folder.mkdir(parents=True)
    tens = 10 ** np.arange(_DIGITS - 1, -1, -1)
    ids = (numbers[:, None] // tens % 10 + ord("0")).astype(np.uint8)
    starts = np.arange(len(numbers) + 1, dtype=np.int64) * _DIGITS
    hashes = stable_hashes(Texts(ids.reshape(-1), starts))
    order = np.argsort(hashes, kind="stable")
    patterns = np.array([[0], [1]], dtype=np.int64)
    columns: list[npt.NDArray[Any]] = [
        ids[order].reshape(-1),
        starts,
        hashes[order],
        pattern_of[order],
        patterns,
    ]
    for name, column in zip(_ARRAYS, columns, strict=True):
        np.save(folder / f"{name}.npy", column)


def _opened(folder: Path) -> Snapshot:
    data, starts, *rest = (
        np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in _ARRAYS
    )
    return Snapshot(Texts(data, starts), *rest)


def _measured(folder: Path) -> Switched:
    condition = Condition("page_viewed at least once within 24h", 86_400_000_000, 1)
    audiences = [
        Audience("pro", "1", Predicate(0)),
        Audience("active", "1", All((Performed(0), Predicate(0)))),
    ]
    plan = Plan.build("users", [condition], [False], audiences)
    before, after = _opened(folder / "before"), _opened(folder / "after")
    groups = [KeyGroup(plan, number) for number in range(GROUPS)]
    for group in groups:
        group.take_force(before, _START)
    groups[0].switch(after, _START + 1, before)  # what is compiled and loaded once
    groups[0].switch(before, _START + 2, after)
    for group in groups:
        group.dump()
    resident, peak = _private_bytes(), 0
    began = time.process_time()
    for group in groups:
        group.switch(after, _START + 3, before)
        peak = max(peak, _private_bytes() - resident)
    seconds = time.process_time() - began
    stored = sum(len(group.dump_changes()) for group in groups)
    began = time.process_time()
    for group in groups:
        group.switch(before, _START + 4, None)
    whole_seconds = time.process_time() - began
    whole_stored = sum(len(group.dump_changes()) for group in groups)
    return Switched(seconds, whole_seconds, peak, stored, whole_stored)


def _private_bytes() -> int:
    """Resident memory that is not a file's."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    mode, folder, users, moved = sys.argv[1:]
    if mode == "write":
        _write(Path(folder), int(users), int(moved))
    else:
        print(json.dumps(asdict(_measured(Path(folder)))))
