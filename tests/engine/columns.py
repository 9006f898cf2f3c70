"""Builds what goes into the core by hand, and reads what comes out as plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.hashing import stable_hashes
from engine.inputs import Inputs, Snapshot
from engine.plan import (
    All,
    Any,
    Audience,
    Condition,
    Lists,
    MemberOf,
    Not,
    Performed,
    Plan,
    Predicate,
    Tree,
    pack_bits,
)
from engine.texts import Texts
from engine.transitions import Transitions

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

__all__ = ["All", "Any", "MemberOf", "Not", "Performed", "Predicate"]  # for the tests to import


class Seen(NamedTuple):
    """An event that the conditions of those numbers count; `ts` and `arrival` in microseconds."""

    user: str
    arrival: int
    conditions: tuple[int, ...] = (0,)
    ts: int | None = None
    id: str | None = None
    tallied: bool = True


class Out(NamedTuple):
    user: str
    audience: str
    effective_at: int
    sequence: int


def plan_of(
    audiences: Mapping[str, Tree],
    conditions: Sequence[tuple[int, int, int | None]] = (),
    absent: Sequence[bool] = (),
    of: Sequence[str] = (),
) -> Plan:
    """Conditions are (window, minimum, maximum); `of` names the events of each, if they share."""
    named = [
        Condition(f"c{i}", *condition, of[i] if of else "")
        for i, condition in enumerate(conditions)
    ]
    return Plan.build(
        "users", named, absent, [Audience(key, "v1", tree) for key, tree in audiences.items()]
    )


def inputs_of(events: Iterable[Seen], hashes: Sequence[int] | None = None) -> Inputs:
    rows = list(events)
    users = Texts.of([row.user for row in rows])
    ids = Texts.of([f"m{i}" if row.id is None else row.id for i, row in enumerate(rows)])
    timestamps = [row.arrival if row.ts is None else row.ts for row in rows]
    distinct = list(dict.fromkeys(row.conditions for row in rows))
    numbers = {conditions: number for number, conditions in enumerate(distinct)}
    return Inputs(
        users,
        stable_hashes(users) if hashes is None else np.array(hashes, dtype=np.int64),
        np.array(timestamps, dtype=np.int64),
        np.array([row.arrival for row in rows], dtype=np.int64),
        ids,
        stable_hashes(ids),
        np.array([numbers[row.conditions] for row in rows], dtype=np.int32),
        Lists.of(distinct),
        np.array([row.tallied for row in rows], dtype=np.bool_),
    )


def snapshot_of(
    plan: Plan, rows: Mapping[str, Sequence[bool]], hash_of: Mapping[str, int] | None = None
) -> Snapshot:
    """Each user's outcomes of the warehouse predicates."""
    users = list(rows)
    hashes = stable_hashes(Texts.of(users))
    if hash_of is not None:
        hashes = np.array([hash_of[user] for user in users], dtype=np.int64)
    order = np.argsort(hashes, kind="stable")
    users = [users[i] for i in order]
    patterns = sorted({tuple(row) for row in rows.values()})
    return Snapshot(
        Texts.of(users),
        hashes[order],
        np.array([patterns.index(tuple(rows[user])) for user in users], dtype=np.int32),
        np.array([pack_bits(row) for row in patterns], dtype=np.int64).reshape(
            len(patterns), plan.word_count
        ),
    )


def read(plan: Plan, *parts: Transitions) -> list[Out]:
    """In the order in which they came."""
    return [
        Out(user, plan.audiences[audience].key, effective_at, sequence)
        for part in parts
        for user, audience, effective_at, sequence in zip(
            part.users.tolist(),
            part.audiences.tolist(),
            part.effective_at.tolist(),
            part.sequences.tolist(),
            strict=True,
        )
    ]
