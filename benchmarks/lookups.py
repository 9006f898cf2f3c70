"""Collections: what it costs to look up a user, and to have the pull write what that needs."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from project.folder import load_project
from warehouse.lookups import CollectionReader
from warehouse.pull import pull

_LOOKUPS = 100_000
_AT = 1_772_323_200_000_000

_PROJECT = """
parent_models:
  users: {from: {parquet: users.parquet}, primary_key: user_id}
collections:
  profiles: {parent_model: users, indexes: [email]}
"""
_USERS = """
COPY (
  SELECT format('user-{:08d}', i) AS user_id, format('{}@example.com', hash(i)) AS email,
    i % 1000 AS shop, i * 1.5 AS ltv, 'free' AS plan
  FROM range($users) AS users(i)
) TO $file (FORMAT parquet)
"""


@dataclass(frozen=True)
class LookupCosts:
    """CPU microseconds a look-up; `pull` is the pull's CPU time to that without collections."""

    key: float
    index: float
    pull: float


def lookup_costs(users: int) -> LookupCosts:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "usher.yml").write_text(_PROJECT)
        duckdb.execute(_USERS, {"users": users, "file": str(root / "users.parquet")})
        loaded = load_project(root, {}).loaded
        assert loaded is not None
        plan = loaded.project.plans["users"]
        bare = _seconds(lambda: pull(root, None, replace(plan, collections=()), _AT))
        full = _seconds(lambda: pull(root, None, plan, _AT))
        reader = CollectionReader(root, plan.parent_model, plan.collections[0])
        draw = random.Random(1)
        keys = [f"user-{draw.randrange(users):08d}" for _ in range(_LOOKUPS)]
        emails = [str(reader.get("user_id", key)[0]["email"]) for key in keys]
        return LookupCosts(
            _each(reader, "user_id", keys), _each(reader, "email", emails), full / bare
        )


def _each(reader: CollectionReader, index: str, values: Sequence[str]) -> float:
    def look_up() -> None:
        for value in values:
            reader.get(index, value)

    return _seconds(look_up) / len(values) * 1e6


def _seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
