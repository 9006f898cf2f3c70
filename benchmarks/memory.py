"""What a user costs: resident memory before and after a million users, in a fresh process.

Each of them has one matched condition, is a member because of it and has a timer armed for the
exit, so that everything a user can need is in use.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from dataflows.steps import Step, split_by_group
from engine.group import KeyGroup
from engine.hashing import GROUPS, stable_hashes
from engine.inputs import Inputs, Snapshot
from engine.plan import Audience, Condition, Lists, Performed, Plan
from engine.texts import Texts

USERS = 1_000_000
_BATCH = 10_000
_START = 1_772_323_200_000_000


def bytes_a_user() -> float:
    """Measure in a process of its own, whose memory holds nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory"], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _measured() -> float:
    condition = Condition("page_viewed at least once within 24h", 86_400_000_000, 1)
    plan = Plan.build("users", [condition], [], [Audience("all", "1", Performed(0))])
    groups = [KeyGroup(plan, number) for number in range(GROUPS)]
    for group in groups:
        group.take_force(Snapshot.empty(0), _START)
    _feed(groups, 0, _BATCH)  # what is compiled, loaded and allocated once
    before = _resident_bytes()
    for first in range(_BATCH, USERS + _BATCH, _BATCH):
        _feed(groups, first, _BATCH)
    return (_resident_bytes() - before) / USERS


def _feed(groups: list[KeyGroup], first: int, count: int) -> None:
    users = Texts.of([f"user-{number:08d}" for number in range(first, first + count)])
    messages = Texts.of([f"message-{number:08d}" for number in range(first, first + count)])
    hashes = stable_hashes(users)
    instants = _START + np.arange(first, first + count, dtype=np.int64) * 1_000
    inputs = Inputs(
        users=users,
        user_hashes=hashes,
        timestamps=instants,
        arrivals=instants,
        message_ids=messages,
        message_hashes=stable_hashes(messages),
        condition_sets=np.zeros(count, dtype=np.int32),
        sets=Lists.of([[0]]),
        tallied=np.ones(count, dtype=np.bool_),
    )
    for _, step in split_by_group([Step(None, {"users": inputs}, 0)], ["users"]):
        if step.inputs is not None:
            groups[step.group].apply(step.inputs)


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


if __name__ == "__main__":
    print(_measured())
