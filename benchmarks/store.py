"""The membership store: what recording a transition costs, on SQLite, beside the least it could.

A hundred thousand users enter and leave five audiences at random, in batches of twenty thousand,
spread over all key groups: when there is so much to record, it comes in batches of such a size.
The yardstick writes the same rows to a file of one table without any index, with nothing looked up,
numbered or decided: a bare `executemany` and a commit a batch.
"""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from engine.hashing import GROUPS, groups_of, stable_hashes
from engine.texts import Texts
from engine.transitions import EVENT_CAUSE
from membership.proposals import Proposals
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore

_USERS = 100_000
_BATCH = 20_000
_KEYS = tuple(f"audience_{number}" for number in range(5))
_VERSIONS = tuple(f"{number:016x}" for number in range(5))
_START = 1_772_323_200_000_000
_PLACES = ", ".join("?" * 9)


@dataclass(frozen=True)
class StoreCosts:
    """CPU microseconds a transition."""

    recording: float
    bare: float


def store_costs(transitions: int, rounds: int) -> StoreCosts:
    """Return the medians over the rounds, each into new files."""
    batches = list(_batches(transitions))
    recording, bare = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            recording.append(_recorded(batches, Path(folder) / "store.db"))
            bare.append(_written(batches, Path(folder) / "bare.db"))
    micro = 1e6 / transitions
    return StoreCosts(median(recording) * micro, median(bare) * micro)


def _recorded(batches: list[list[Proposals]], path: Path) -> float:
    with closing(MembershipStore(SqliteDatabase(path, writable=True))) as store:
        store.claim(("users", group) for group in range(GROUPS))
        before = time.process_time()
        for batch in batches:
            store.record(batch, _START)
        return time.process_time() - before


def _written(batches: list[list[Proposals]], path: Path) -> float:
    rows = [[row for one in batch for row in _rows(one)] for batch in batches]
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "CREATE TABLE transitions (position INTEGER PRIMARY KEY, audience, version, user_id, "
            "sequence, effective_at, cause, detail, emitted_at)"
        )
        before = time.process_time()
        for some in rows:
            database.execute("BEGIN")
            database.executemany(f"INSERT INTO transitions VALUES ({_PLACES})", some)
            database.execute("COMMIT")
        return time.process_time() - before


def _rows(given: Proposals) -> Iterator[tuple[object, ...]]:
    for user, audience, at, sequence, cause, detail in zip(
        given.user_ids, given.audiences, given.effective_at, given.sequences, given.causes,
        given.details, strict=True,
    ):  # fmt: skip
        version = _VERSIONS[audience]
        yield (None, audience, version, user, sequence, at, cause, detail, _START)


def _batches(transitions: int) -> Iterator[list[Proposals]]:
    draw = random.Random(1)
    users = [f"user-{number:07d}" for number in range(_USERS)]
    groups = groups_of(stable_hashes(Texts.of(users))).tolist()
    sequences: dict[tuple[int, int], int] = defaultdict(int)
    now = _START
    for _ in range(transitions // _BATCH):
        changes: dict[int, list[tuple[str, int, int, int, str]]] = defaultdict(list)
        for _ in range(_BATCH):
            now += draw.randrange(1_000)
            user, audience = draw.randrange(_USERS), draw.randrange(len(_KEYS))
            sequences[user, audience] += 1
            changes[groups[user]].append(
                (
                    users[user],
                    audience,
                    now,
                    sequences[user, audience],
                    f"ajs-next-{now}-{user:06d}",
                )
            )
        yield [_proposals(group, changes[group]) for group in sorted(changes)]


def _proposals(group: int, changes: list[tuple[str, int, int, int, str]]) -> Proposals:
    return Proposals(
        "users",
        group,
        _KEYS,
        _VERSIONS,
        [one[0] for one in changes],
        [one[1] for one in changes],
        [one[2] for one in changes],
        [one[3] for one in changes],
        [EVENT_CAUSE] * len(changes),
        [one[4] for one in changes],
    )
