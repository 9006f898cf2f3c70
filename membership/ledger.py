"""The ledger: what whoever delivers writes down, so that nothing is lost, or forgotten, in a crash.

One process at a time delivers.  It claims the ledger first; a process that was thought dead and
wakes up again is refused.  What all its lanes want to be remembered is one transaction: cursors
never pass what is not written down beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from membership.database import Database, Table
from membership.deliveries import Ask, Changes, Population, Remembered, Request, SyncState, Who
from membership.delivery_log import DeliveryLog, cursor_name
from membership.errors import OwnerChanged
from membership.schema import ATTEMPTS, DEAD_LETTERS, PACES, POPULATIONS, SYNC_STATES, WAITING

# How many attempts are kept of each sync.
KEPT_ATTEMPTS = 10_000

# Rows in a statement.  SQLite's module gives up the interpreter at each statement, and may wait
# milliseconds for it while others wait for the store.
_TOGETHER = 100

# Its owner's place among those of key groups; no parent model has such a name.
_OWNED = ("/deliveries", 0)

_TABLES = ("sync_states", "populations", "waiting", "dead_letters", "attempts", "withheld", "paces")


class Ledger(DeliveryLog):
    """Raises: StoreError: by all methods; nothing was written then."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._epoch: int | None = None

    def claim(self) -> None:
        """Become the one who delivers; whoever was is refused from now on."""
        with self._database.transaction():
            ((self._epoch,),) = self._database.query(
                "INSERT INTO owners VALUES (?, ?, 1) ON CONFLICT (parent_model, key_group) "
                "DO UPDATE SET epoch = owners.epoch + 1 RETURNING epoch",
                _OWNED,
            )

    def open(self, sync: str, populate: Callable[[int], Population | None]) -> Remembered:
        """What a sync goes on from; a new one begins at the journal's end.

        Args:
            populate: Given that position, the members that a new sync begins with, if any.
        """
        name = cursor_name(sync)
        with self._database.transaction():
            new = self._database.execute(
                "INSERT INTO cursors SELECT ?, position FROM journal_end WHERE true "
                "ON CONFLICT (name) DO NOTHING",
                (name,),
            )
            ((cursor,),) = self._database.query(
                "SELECT position FROM cursors WHERE name = ?", (name,)
            )
            if new and (population := populate(cursor)) is not None:
                self._database.upsert(POPULATIONS, [_population(sync, population)])
            left = self._database.query("SELECT sent FROM paces WHERE sync = ?", (sync,))
            self._database.execute("DELETE FROM paces WHERE sync = ?", (sync,))
        population = self.populations().get(sync)
        dead = self._database.query(
            "SELECT user_id, sequence FROM dead_letters "
            "WHERE sync = ? AND (position > ? OR position <= ?)",
            (sync, cursor, -1 if population is None or population.is_complete else 0),
        )
        return Remembered(
            cursor,
            population,
            self.waiting(sync),
            frozenset(Who(*row) for row in dead),
            self.states().get(sync, SyncState()),
            _sent(left[0][0]) if left else () if new else None,
        )

    def write(self, batch: Sequence[Changes], done: Collection[int] = ()) -> None:
        """Write down what some syncs have come to, and which requests that fulfils.

        Raises:
            OwnerChanged: another process delivers.
            StoreError: nothing was written.
        """
        with self._database.transaction():
            self._check()
            for one in batch:
                self._write(one)
            for number in done:
                self._database.execute("DELETE FROM sync_requests WHERE number = ?", (number,))

    def leave(self, sent: Mapping[str, Sequence[tuple[int, int]]]) -> None:
        """Say what went out lately by each sync, for whoever opens it next.

        Raises:
            OwnerChanged: another process delivers.
            StoreError: nothing was written.
        """
        rows = [(sync, msgspec.json.encode(one).decode()) for sync, one in sent.items()]
        with self._database.transaction():
            self._check()
            self._database.upsert(PACES, rows)

    def ask(self, sync: str, kind: Ask, now: int, letter: str = "") -> Request:
        """Ask something of whoever delivers, or will: it looks for that every second."""
        with self._database.exclusive():
            ((number,),) = self._database.query(
                "INSERT INTO sync_requests SELECT coalesce(max(number), 0) + 1, ?, ?, ?, "
                "CAST(? AS BIGINT) FROM sync_requests RETURNING number",
                (sync, str(kind), letter, now),
            )
        return Request(number, sync, kind, letter, now)

    def forget_others(self, syncs: Collection[str]) -> list[str]:
        """Forget the syncs that are not among these, and say which; their dead letters as well."""
        with self._database.transaction():
            others = [key for key in self.cursors() if key not in syncs]
            for key in others:
                self._database.execute("DELETE FROM cursors WHERE name = ?", (cursor_name(key),))
                for table in _TABLES:
                    self._database.execute(f"DELETE FROM {table} WHERE sync = ?", (key,))
            for one in self.requests():
                if one.sync not in syncs:
                    self._database.execute(
                        "DELETE FROM sync_requests WHERE number = ?", (one.number,)
                    )
        return others

    def pin(self, parent_model: str, snapshot: str) -> int:
        """Deliver what is recorded from now on with a snapshot; return the position before it.

        Nothing changes if it is the last one that was pinned.
        """
        with self._database.exclusive():
            pins = self.pins(parent_model)
            if pins and pins[-1][1] == snapshot:
                return pins[-1][0]
            ((position,),) = self._database.query("SELECT position FROM journal_end")
            self._database.execute(
                "INSERT INTO pinned_snapshots VALUES (?, ?, ?) "
                "ON CONFLICT (parent_model, position) DO UPDATE SET snapshot = excluded.snapshot",
                (parent_model, position, snapshot),
            )
        return int(position)

    def unpin(self, parent_model: str, passed: int) -> None:
        """Let go of the snapshots that nothing behind a position is delivered with."""
        with self._database.transaction():
            self._database.execute(
                "DELETE FROM pinned_snapshots WHERE parent_model = ? AND position < "
                "(SELECT max(position) FROM pinned_snapshots "
                "WHERE parent_model = ? AND position <= ?)",
                (parent_model, parent_model, passed),
            )

    def passed(self, syncs: Collection[str]) -> int:
        """Up to where nothing is made of the journal any more; 0 while members are being sent."""
        unfinished = {key for key, one in self.populations().items() if not one.is_complete}
        names = {cursor_name(key) for key in syncs}
        rows = self._database.query("SELECT name, position FROM cursors")
        found = [int(position) for name, position in rows if name in names]
        return 0 if unfinished & {*syncs} else min(found, default=0)

    def withhold(self, sync: str, who: Collection[Who]) -> None:
        """Remember that these entries were kept back."""
        with self._database.transaction():
            for user_id, sequence in sorted(who):
                self._database.execute(
                    "INSERT INTO withheld VALUES (?, ?, ?) "
                    "ON CONFLICT (sync, user_id, sequence) DO NOTHING",
                    (sync, user_id, sequence),
                )

    def release(self, sync: str, who: Sequence[Who]) -> None:
        """Forget it."""
        with self._database.transaction():
            self._remove("withheld", sync, who)

    def _check(self) -> None:
        ((epoch,),) = self._database.query(
            "SELECT epoch FROM owners WHERE parent_model = ? AND key_group = ?"
            f"{self._database.dialect.for_update}",
            _OWNED,
        )
        if epoch != self._epoch:
            raise OwnerChanged("another process delivers now; this one has to stop")

    def _write(self, changes: Changes) -> None:
        database, sync = self._database, changes.sync
        database.execute(
            "UPDATE cursors SET position = ? WHERE name = ? AND position < ?",
            (changes.cursor, cursor_name(sync), changes.cursor),
        )
        if changes.population is not None:
            database.upsert(POPULATIONS, [_population(sync, changes.population)])
        self._put(
            WAITING,
            [
                (
                    sync, one.user_id, one.sequence, one.position, one.record, one.mapped,
                    one.attempts, one.first_attempt, one.due, one.reason,
                )
                for one in changes.waiting
            ],
        )  # fmt: skip
        self._remove("waiting", sync, changes.settled)
        self._remove("dead_letters", sync, changes.revived)
        self._put(
            DEAD_LETTERS,
            [
                (
                    sync, one.user_id, one.sequence, one.position, one.id, one.record, one.mapped,
                    one.attempts, one.at, one.reason, one.status, one.request, one.response,
                )
                for one in changes.dead
            ],
        )  # fmt: skip
        self._log(changes)
        if changes.state is not None:
            state = changes.state
            database.upsert(
                SYNC_STATES,
                [
                    (
                        sync, str(state.status), state.since, state.reason, state.failed_at,
                        state.sent, state.failed, state.retried, state.dead,
                    )
                ],
            )  # fmt: skip

    def _put(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert, or replace what has the same key."""
        places = f"({', '.join('?' * len(table.columns))})"
        for first in range(0, len(rows), _TOGETHER):
            some = rows[first : first + _TOGETHER]
            self._database.execute(
                f"INSERT INTO {table.name} ({table.listed}) "
                f"VALUES {', '.join([places] * len(some))} "
                f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {table.updates}",
                [value for row in some for value in row],
            )

    def _remove(self, table: str, sync: str, who: Sequence[Who]) -> None:
        for first in range(0, len(who), _TOGETHER):
            some = who[first : first + _TOGETHER]
            any_of = " OR ".join(["user_id = ? AND sequence = ?"] * len(some))
            self._database.execute(
                f"DELETE FROM {table} WHERE sync = ? AND ({any_of})",
                (sync, *(value for one in some for value in one)),
            )

    def _log(self, changes: Changes) -> None:
        if not changes.attempts:
            return
        ((last,),) = self._database.query(
            "SELECT coalesce(max(number), 0) FROM attempts WHERE sync = ?", (changes.sync,)
        )
        self._put(
            ATTEMPTS,
            [
                (
                    changes.sync, number, one.at, one.duration, one.messages, one.ids, one.verdict,
                    one.reason, one.status, one.request, one.response,
                )
                for number, one in enumerate(changes.attempts, last + 1)
            ],
        )  # fmt: skip
        self._database.execute(
            "DELETE FROM attempts WHERE sync = ? AND number <= ?",
            (changes.sync, last + len(changes.attempts) - KEPT_ATTEMPTS),
        )


def _sent(text: str) -> list[tuple[int, int]]:
    return msgspec.json.decode(text, type=list[tuple[int, int]])


def _population(sync: str, one: Population) -> tuple[object, ...]:
    flags = int(one.is_complete), int(one.again)
    return sync, one.position, one.version, one.emitted_at, one.after, *flags
