"""What became of deliveries, for whoever asks: the command line and the HTTP API.

Rows come in pages, by numbers or places that do not shift while one reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from membership.database import Database, Row
from membership.deliveries import (
    Ask,
    Attempt,
    DeadLetter,
    Population,
    Request,
    SyncState,
    SyncStatus,
    Waiting,
    Who,
)
from membership.schema import ATTEMPTS, DEAD_LETTERS, POPULATIONS, SYNC_STATES, WAITING

PAGE = 100

_PREFIX = "sync/"


def cursor_name(sync: str) -> str:
    return f"{_PREFIX}{sync}"


class DeliveryLog:
    """Raises: StoreError: by all methods; the store cannot be read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def states(self) -> dict[str, SyncState]:
        """Of every sync that has ever begun, by key."""
        rows = self._database.query(f"SELECT {SYNC_STATES.listed} FROM sync_states ORDER BY sync")
        return {key: SyncState(SyncStatus(status), *rest) for key, status, *rest in rows}

    def populations(self) -> dict[str, Population]:
        """The members that syncs began with, by key; also those that are all sent."""
        rows = self._database.query(f"SELECT {POPULATIONS.listed} FROM populations ORDER BY sync")
        return {
            key: Population(position, version, emitted_at, reached, bool(is_complete), bool(again))
            for key, position, version, emitted_at, reached, is_complete, again in rows
        }

    def waiting(self, sync: str) -> list[Waiting]:
        """All that waits apart from the journal, by user, in the users' order."""
        rows = self._database.query(
            f"SELECT {WAITING.listed} FROM waiting WHERE sync = ? ORDER BY user_id, sequence",
            (sync,),
        )
        return [Waiting(*row[1:]) for row in rows]

    def waiting_counts(self) -> dict[str, tuple[int, int | None]]:
        """How many messages wait, by sync, and when the first attempt at any of them was."""
        rows = self._database.query(
            "SELECT sync, count(*), min(CASE WHEN first_attempt > 0 THEN first_attempt END) "
            "FROM waiting GROUP BY sync"
        )
        return {sync: (count, since) for sync, count, since in rows}

    def cursors(self) -> dict[str, int]:
        """The position up to which each sync has come, by key."""
        rows = self._database.query("SELECT name, position FROM cursors ORDER BY name")
        return {
            name.removeprefix(_PREFIX): position
            for name, position in rows
            if name.startswith(_PREFIX)
        }

    def written_after(self, position: int) -> int | None:
        """When the next transition after a position was written down; `None` if there is none."""
        rows = self._database.query(
            "SELECT emitted_at FROM journal WHERE position > ? ORDER BY position LIMIT 1",
            (position,),
        )
        return int(rows[0][0]) if rows else None

    def requests(self) -> list[Request]:
        """What is asked and not done yet, in order."""
        rows = self._database.query(
            "SELECT number, sync, kind, letter, asked_at FROM sync_requests ORDER BY number"
        )
        return [
            Request(number, sync, Ask(kind), letter, at) for number, sync, kind, letter, at in rows
        ]

    def dead_letters(
        self,
        sync: str,
        after: tuple[str, int] | None = None,
        limit: int = PAGE,
        *,
        until: int | None = None,
        id: str = "",
    ) -> list[DeadLetter]:
        """The next ones of a sync, by user and sequence.

        Args:
            after: The user and sequence that the page before ended with.
            until: Only those that were given up before that instant.
            id: Only those of this transition.
        """
        further = "" if after is None else "AND (user_id, sequence) > (?, ?) "
        earlier = "" if until is None else "AND given_up_at < ? "
        one = "AND id = ? " if id else ""
        rows = self._database.query(
            f"SELECT {DEAD_LETTERS.listed} FROM dead_letters WHERE sync = ? "
            f"{further}{earlier}{one}ORDER BY user_id, sequence LIMIT ?",
            (
                sync,
                *(after or ()),
                *([] if until is None else [until]),
                *([id] if id else []),
                limit,
            ),
        )
        return [_letter(row) for row in rows]

    def dead_letter(self, id: str) -> list[tuple[str, DeadLetter]]:
        """Those of a transition, each with its sync."""
        rows = self._database.query(
            f"SELECT {DEAD_LETTERS.listed} FROM dead_letters WHERE id = ? ORDER BY sync", (id,)
        )
        return [(row[0], _letter(row)) for row in rows]

    def dead_letter_counts(self) -> dict[str, int]:
        """How many there are, by sync."""
        return dict(self._database.query("SELECT sync, count(*) FROM dead_letters GROUP BY sync"))

    def attempts(
        self, sync: str, before: int | None = None, limit: int = PAGE
    ) -> list[tuple[int, Attempt]]:
        """The last ones with their numbers, the newest first.

        Args:
            before: The number that the page before ended with.
        """
        older = "" if before is None else "AND number < ? "
        rows = self._database.query(
            f"SELECT {ATTEMPTS.listed} FROM attempts WHERE sync = ? {older}"
            "ORDER BY number DESC LIMIT ?",
            (sync, *([] if before is None else [before]), limit),
        )
        return [(row[1], Attempt(*row[2:])) for row in rows]

    def attempts_after(
        self, sync: str, number: int, limit: int = PAGE
    ) -> list[tuple[int, Attempt]]:
        """The next ones after a number, the oldest first."""
        rows = self._database.query(
            f"SELECT {ATTEMPTS.listed} FROM attempts WHERE sync = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (sync, number, limit),
        )
        return [(row[1], Attempt(*row[2:])) for row in rows]

    def pins(self, parent_model: str) -> list[tuple[int, str]]:
        """From behind which position on which snapshot is delivered with, in order."""
        rows = self._database.query(
            "SELECT position, snapshot FROM pinned_snapshots WHERE parent_model = ? "
            "ORDER BY position",
            (parent_model,),
        )
        return [(position, snapshot) for position, snapshot in rows]

    def withheld(self, sync: str, users: Sequence[str]) -> set[Who]:
        """Which entries of these users were kept back from a sync."""
        found: set[Who] = set()
        for first in range(0, len(users), PAGE):
            some = users[first : first + PAGE]
            places = ", ".join("?" * len(some))
            rows = self._database.query(
                f"SELECT user_id, sequence FROM withheld WHERE sync = ? AND user_id IN ({places})",
                (sync, *some),
            )
            found.update(Who(*row) for row in rows)
        return found


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(*row[1:])
