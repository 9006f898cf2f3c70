"""What a pull costs, from the rows to the users who moved, beside a bare copy of the same rows.

A shop's users lie in a DuckDB file, which is made once.  They are pulled; then one in a hundred
changes, and they are pulled once more, which is what is measured: all that `usher pull` does, from
its start to its end.  The yardstick is a process in which DuckDB writes the same query to a Parquet
file, and does nothing else.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.process import Cost, cost_of, cost_of_command

COLUMNS = 20

_USERS = """
CREATE TABLE users AS
SELECT
  format('user-{:08d}', i) AS user_id,
  format('{:x}@example.com', hash(i)) AS email,
  format('{:x}', hash(i + 1))[:8] AS first_name,
  format('{:x}', hash(i + 2))[:10] AS last_name,
  ['DE', 'FR', 'PL', 'US', 'JP'][1 + (hash(i + 3) % 5)::INTEGER] AS country,
  format('city-{:03d}', hash(i + 4) % 500) AS city,
  ['free', 'free', 'free', 'pro', 'team'][1 + (hash(i + 5) % 5)::INTEGER] AS plan,
  ['web', 'ads', 'mail', NULL][1 + (hash(i + 6) % 4)::INTEGER] AS channel,
  (hash(i + 7) % 90 + 10)::INTEGER AS age,
  (hash(i + 8) % 200)::INTEGER AS orders,
  (hash(i + 9) % 10000)::BIGINT AS points,
  (hash(i + 10) % 100000 / 100)::DECIMAL(12, 2) AS lifetime_value,
  (hash(i + 11) % 10000 / 100)::DECIMAL(12, 2) AS credit,
  hash(i + 12) / 1.8446744073709552e19 AS score,
  hash(i + 13) % 10 < 3 AS subscribed,
  hash(i + 14) % 100 < 2 AS blocked,
  TIMESTAMP '2024-01-01' + to_seconds((hash(i + 15) % 70000000)::BIGINT) AS created_at,
  TIMESTAMP '2026-01-01' + to_seconds((hash(i + 16) % 5000000)::BIGINT) AS last_seen_at,
  DATE '1950-01-01' + (hash(i + 17) % 20000)::INTEGER AS born_on,
  i AS number
FROM range($users) AS users(i)
"""
_CHANGE = "UPDATE users SET lifetime_value = 1000 - lifetime_value WHERE number % 100 = 0"
_BARE = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
connection.execute(f"COPY (SELECT * FROM users) TO '{sys.argv[2]}' (FORMAT parquet)")
"""

_WHERES: dict[str, Any] = {
    "free": {"property": "plan", "equals": "free"},
    "valuable": {"property": "lifetime_value", "greater_than": 900},
    "of_age": {"property": "age", "at_least": 18},
    "subscribed": {
        "all": [
            {"property": "subscribed", "is": True},
            {"not": {"property": "blocked", "is": True}},
        ]
    },
    "from_europe": {"property": "country", "in": ["DE", "FR", "PL"]},
    "without_channel": {"property": "channel", "exists": False},
    "seen": {"property": "last_seen_at", "within_last": "3650d"},
}


@dataclass(frozen=True)
class Pulled:
    """A pull and the bare copy."""

    pull: Cost
    bare: Cost


def pulled(folder: Path, *, users: int) -> Pulled:
    """Measure with so many users.

    Raises:
        Failed: a measured process does.
    """
    database = folder / "warehouse.duckdb"
    if not database.exists():
        _make(folder, users)
    shutil.rmtree(folder / ".usher", ignore_errors=True)
    cost_of("-C", folder, "pull")
    with duckdb.connect(database) as connection:
        connection.execute(_CHANGE)
    pull = cost_of("-C", folder, "pull")
    copy = folder / "bare.parquet"
    bare = cost_of_command([sys.executable, "-c", _BARE, str(database), str(copy)])
    copy.unlink()
    return Pulled(pull, bare)


def _make(folder: Path, users: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    definition = {
        "warehouse": {"type": "duckdb", "path": "warehouse.duckdb"},
        "parent_models": {"users": {"from": {"table": "users"}, "primary_key": "user_id"}},
        "audiences": {key: {"parent_model": "users", "where": one} for key, one in _WHERES.items()},
    }
    (folder / "usher.yml").write_text(json.dumps(definition))
    aside = folder / "part.duckdb"
    with duckdb.connect(aside) as connection:
        connection.execute(_USERS, {"users": users})
    aside.rename(folder / "warehouse.duckdb")
