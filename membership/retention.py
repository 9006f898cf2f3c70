"""How long the journal remembers.

Only its oldest part is ever removed, so that what is left has no gaps; in small transactions, so
that the writer never waits long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from membership.database import Database

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Retention:
    """`keep_for` in microseconds since a transition was written; `None` is for ever, and all."""

    keep_for: int | None = None
    keep_rows: int | None = None


def prune(
    database: Database, retention: Retention, now: int, go_on: Callable[[], bool] = lambda: True
) -> int:
    """Remove what is older, or more, than is to be kept, and has been delivered; say how much.

    `go_on` is asked after each transaction: no ends it there.
    """
    last = _last_to_remove(database, retention, now)
    removed = 0
    while True:
        ((first,),) = database.query("SELECT min(position) FROM journal")
        if first is None or first > last:
            return removed
        with database.transaction():
            removed += database.execute(
                "DELETE FROM journal WHERE position <= ?", (min(last, first + _ROWS_AT_ONCE - 1),)
            )
        if not go_on():
            return removed


def _last_to_remove(database: Database, retention: Retention, now: int) -> int:
    ((end,),) = database.query("SELECT position FROM journal_end")
    wanted = 0
    if retention.keep_rows is not None:
        wanted = end - retention.keep_rows
    if retention.keep_for is not None:
        # In the order of positions it is the removed rows alone that are looked at.
        kept = database.query(
            "SELECT position FROM journal WHERE emitted_at >= ? ORDER BY position LIMIT 1",
            (now - retention.keep_for,),
        )
        wanted = max(wanted, kept[0][0] - 1 if kept else end)
    # A sync that is still to send the members as of a position asks who has moved since.
    ((undelivered,),) = database.query(
        "SELECT min(position) FROM (SELECT position FROM cursors UNION ALL "
        "SELECT position FROM populations WHERE is_complete = 0) AS needed"
    )
    return int(wanted if undelivered is None else min(wanted, undelivered))
