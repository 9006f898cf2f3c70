"""When the next pull of a parent model is tried: on schedule, or again after it has failed.

Runs that were missed are made up for by one.  Models that are due at the same instant are spread
over a minute, always in the same way.  After a failure the pauses grow, so that a warehouse that is
down is neither flooded nor forgotten.  Where the clock was ahead for a while, as that of a machine
which has just begun may be, nothing waits until time gets there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from audience_dsl.definitions import ParentModel
from audience_dsl.durations import MINUTE
from audience_dsl.instants import SECOND
from schedules.pulls import next_pull
from warehouse.history import Extent, Pull, Status

_SPREAD = MINUTE
_FIRST_PAUSE = 5 * SECOND
_LONGEST_PAUSE = 15 * MINUTE

# A pull takes some time, and is no reason to worry before that.
_GRACE = 5 * MINUTE


def settled_at(read_at: int, pulls: Sequence[Pull]) -> int:
    """The instant that the next pull is counted from: of the last full one.

    Or of the last return to an earlier version: the schedule must not undo it at once.

    Args:
        read_at: When all rows of the snapshot in force were read.
        pulls: The history, the oldest first.
    """
    returns = [
        one.pull_date
        for one in pulls
        if one.extent is Extent.ROLLBACK and one.status is Status.SUCCEEDED
    ]
    return max([read_at, *returns[-1:]])


def due_at(model: ParentModel, settled: int) -> int:
    """When the pull after that of `settled` is due."""
    due = next_pull(model.pull, settled)
    digest = hashlib.blake2b(f"{model.key} {due}".encode(), digest_size=8).digest()
    return due + int.from_bytes(digest) % _SPREAD


def is_stale(model: ParentModel, settled: int, now: int) -> bool:
    """Whether the snapshot is older than the schedule allows, or nobody knows how old it is."""
    return _is_to_come(settled, now) or now > next_pull(model.pull, settled) + _GRACE


def next_attempt(model: ParentModel, settled: int, pulls: Sequence[Pull], now: int) -> int:
    """When the next pull on schedule is to be tried, from what became of those before."""
    due = now if _is_to_come(settled, now) else max(now, due_at(model, settled))
    failed = _failures(pulls)
    if failed and not _is_to_come(pulls[-1].ended_at, now):
        return max(due, pulls[-1].ended_at + pause(failed))
    return due


def _is_to_come(instant: int, now: int) -> bool:
    """Whether an instant of the past cannot be: the clock was ahead when it was written down."""
    return instant > now + _GRACE


def pause(failures: int) -> int:
    """How long to wait after so many failures in a row, at least one."""
    return min(_FIRST_PAUSE << min(failures - 1, 20), _LONGEST_PAUSE)


def _failures(pulls: Sequence[Pull]) -> int:
    """How many have failed since one succeeded."""
    count = 0
    for one in reversed(pulls):
        if one.status is not Status.FAILED:
            break
        count += 1
    return count
