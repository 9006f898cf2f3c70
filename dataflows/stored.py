"""What a running job has stored of its users, read beside it.

The job stores its state every second and removes what it does not need any more, so what a reader
has begun with may be gone before the reader has ended.  Then it begins again with what is newer.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from dataflows.chains import DamagedLog, Position
from dataflows.checkpoints import StoredGroup
from dataflows.recovery import RECOVERY, STATE, damaged, verified_groups
from dataflows.resumption import DamagedStore, read_resumption
from dataflows.seals import BrokenSeal
from dataflows.state_log import StateLog

_ATTEMPTS = 8
_PAUSE = 0.25  # seconds


class StoredState(NamedTuple):
    """One key group's state: a complete dump and the differences that follow it."""

    group: int
    clock: int
    records: list[bytes]


def stored_state(root: Path, parent_model: str) -> list[StoredState]:
    """The state of a parent model's key groups, all of one moment; empty if there is none.

    To be called in a process that runs no job: closing a second handle on the database would take
    away the running one's locks.

    Raises:
        JobRefused: the stored state is damaged.
        OSError: it cannot be read.
    """
    folder = root / ".usher"
    if not (folder / RECOVERY).exists():
        return []
    attempt = 1
    while True:
        try:
            return _read(folder, parent_model)
        except (DamagedStore, BrokenSeal, DamagedLog, FileNotFoundError) as error:
            if attempt == _ATTEMPTS:
                raise damaged(folder, error) from error
        attempt += 1
        time.sleep(_PAUSE)


def _read(folder: Path, parent_model: str) -> list[StoredState]:
    groups = verified_groups(read_resumption(folder / RECOVERY), [parent_model])
    log = StateLog(folder / STATE)
    return [_state(one, log) for one in groups]


def _state(stored: StoredGroup, log: StateLog) -> StoredState:
    assert isinstance(stored.state, Position)  # it has been verified
    number = int(stored.key.rpartition("/")[2])
    return StoredState(number, stored.clock, log.read(stored.state))
