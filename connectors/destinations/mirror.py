"""The tables in which PostgreSQL mirrors membership: statements, and rows made of transitions.

`{table}` has the users of audiences; `{left}`, which `exits: delete` needs, remembers those who
have left.  Every change is for rows whose `sequence` is lower than the new one.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.destinations.blocking import Item

Row = tuple[str, str, str, bool, object, object, int, str, str | None]
"""Values of the columns of `{table}`, in their order."""

_KEYS = ("parent_model", "audience", "user_id")
_COLUMNS = (*_KEYS, "member", "entered_at", "exited_at", "sequence", "transition_id", "mapping")

CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    parent_model text NOT NULL, audience text NOT NULL, user_id text NOT NULL,
    member boolean NOT NULL, entered_at timestamptz, exited_at timestamptz,
    sequence bigint NOT NULL, transition_id text NOT NULL, mapping jsonb,
    PRIMARY KEY (parent_model, audience, user_id)
)"""
CREATE_LEFT = """
CREATE TABLE IF NOT EXISTS {left} (
    parent_model text NOT NULL, audience text NOT NULL, user_id text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (parent_model, audience, user_id)
)"""

_ROWS = """
unnest(
    %s::text[], %s::text[], %s::text[], %s::boolean[], %s::timestamptz[], %s::timestamptz[],
    %s::bigint[], %s::text[], %s::jsonb[]
) AS new (
    parent_model, audience, user_id, member, entered_at, exited_at, sequence, transition_id, mapping
)"""
_SAME = (
    "(old.parent_model, old.audience, old.user_id) = (new.parent_model, new.audience, new.user_id)"
)

# `{where}` is `NOT_LEFT` where rows are deleted, and nothing where they are marked.
UPSERT = f"""
INSERT INTO {{table}} AS old ({", ".join(_COLUMNS)})
SELECT new.* FROM {_ROWS}
{{where}}
ON CONFLICT (parent_model, audience, user_id) DO UPDATE SET
    member = excluded.member,
    entered_at = coalesce(excluded.entered_at, old.entered_at),
    exited_at = excluded.exited_at,
    sequence = excluded.sequence,
    transition_id = excluded.transition_id,
    mapping = excluded.mapping
WHERE old.sequence < excluded.sequence"""
NOT_LEFT = (
    f"WHERE NOT EXISTS (SELECT FROM {{left}} AS old WHERE {_SAME} AND old.sequence > new.sequence)"
)

# Two syncs may write one table, entries and exits apart: they take turns.
LOCK = "LOCK TABLE {left} IN SHARE ROW EXCLUSIVE MODE"
LEAVE = f"""
INSERT INTO {{left}} AS old (parent_model, audience, user_id, sequence)
SELECT new.parent_model, new.audience, new.user_id, new.sequence FROM {_ROWS}
ON CONFLICT (parent_model, audience, user_id) DO UPDATE SET sequence = excluded.sequence
WHERE old.sequence < excluded.sequence"""
DELETE = f"DELETE FROM {{table}} AS old USING {_ROWS} WHERE {_SAME} AND old.sequence < new.sequence"
RETURN = f"DELETE FROM {{left}} AS old USING {_ROWS} WHERE {_SAME} AND old.sequence < new.sequence"


def rows_of(items: Iterable[Item]) -> list[Row]:
    """The row that each user ends with, from transitions in their order."""
    rows: dict[tuple[str, str, str], Row] = {}
    for item in items:
        message = item.message
        record = message.record
        key = (str(record["parent_model"]), str(record["audience"]), message.user_id)
        sequence = int(str(record["sequence"]))
        before = rows.get(key)
        if before is not None and before[6] >= sequence:
            continue
        at = record["effective_at"]
        entered_at = at if message.entered else (before and before[4])
        exited_at = None if message.entered else at
        mapping = None if message.mapped is None else item.body.decode()
        rows[key] = (*key, message.entered, entered_at, exited_at, sequence, message.id, mapping)
    return list(rows.values())
