"""The store's reading side, for the command line, APIs, deliveries and reconciliation.

A reader has a connection of its own and never holds up the writer: it asks for one page after the
other, each of them the state as of one commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.hashing import group_of, groups_of, stable_hashes
from engine.texts import Texts
from membership.audiences import AudienceNumbers
from membership.database import Database, Row, handed_over
from membership.delivery_log import DeliveryLog
from membership.errors import PositionAhead, PositionPruned
from membership.facts import (
    AudienceName,
    JournalEntry,
    JournalPage,
    Membership,
    RecordedHead,
    journal_entries,
    memberships,
)
from membership.job_note import JobNote, job_note
from membership.keys import ApiKey, ApiKeys
from membership.schema import JOURNAL, check_readable

PAGE = 1_000

# A search for rare rows looks at so many positions before it lets go of the database.
_POSITIONS_AT_ONCE = 50_000


class MembershipReader:
    """To be closed when it is done with.

    Raises:
        StoreMissing: nothing has been recorded yet.
        StoreError: by all methods; the store cannot be read.
    """

    def __init__(self, database: Database) -> None:
        with handed_over(database):
            check_readable(database)
        self._database = database
        self._numbers = AudienceNumbers(database)
        self.deliveries = DeliveryLog(database)

    def members(
        self, parent_model: str, audience: str, after: str | None = None, limit: int = PAGE
    ) -> list[Membership]:
        """The next members of an audience, ordered by user id.

        Args:
            after: The user id that the page before ended with; `None` for the first page.
        """
        number = self._numbers.number(parent_model, audience)
        further = "" if after is None else "AND user_id > ? "
        rows = self._database.query(
            f"{_MEMBERS} AND audience = ? {further}ORDER BY user_id LIMIT ?",
            (number or 0, *([] if after is None else [after]), limit),
        )
        return self._memberships(rows)

    def entries(
        self,
        parent_model: str,
        audience: str,
        after: str | None,
        limit: int,
        *,
        version: str,
        emitted_at: int,
    ) -> list[JournalEntry]:
        """The entries of the next members, ordered by user id: with their ids, and position 0.

        What heads do not know is said of all of them: the audience's version, and when the journal
        was written.
        """
        number = self._numbers.number(parent_model, audience)
        further = "" if after is None else "AND user_id > ? "
        rows = self._database.query(
            f"{_MEMBERS} AND audience = ? {further}ORDER BY user_id LIMIT ?",
            (number or 0, *([] if after is None else [after]), limit),
        )
        return journal_entries(
            [0] * len(rows),
            [(row[0], version, *row[1:], None) for row in rows],
            [AudienceName(parent_model, audience)] * len(rows),
            [emitted_at] * len(rows),
        )

    def moved_since(
        self, parent_model: str, audience: str, position: int, users: Sequence[str]
    ) -> set[str]:
        """Which of these users, who are in order, have a transition behind a position."""
        if not users:
            return set()
        found = self._database.query(
            "SELECT DISTINCT user_id FROM journal "
            "WHERE position > ? AND audience = ? AND user_id >= ? AND user_id <= ?",
            (position, self._numbers.number(parent_model, audience) or 0, users[0], users[-1]),
        )
        return {user_id for (user_id,) in found}.intersection(users)

    def memberships(self, user_id: str, parent_model: str | None = None) -> list[Membership]:
        """The audiences that a user is in, ordered by parent model and audience."""
        rows = self._database.query(
            f"{_MEMBERS} AND key_group = ? AND user_id = ?", (group_of(user_id), user_id)
        )
        found = [
            one
            for one in self._memberships(rows)
            if parent_model is None or one.parent_model == parent_model
        ]
        return sorted(found, key=lambda one: (one.parent_model, one.audience))

    def audiences_of(self, parent_model: str, user_ids: Sequence[str]) -> list[list[str]]:
        """The audiences that each of some users is in, sorted, in the order of the users."""
        found: dict[str, list[str]] = {user_id: [] for user_id in user_ids}
        groups: dict[int, list[str]] = {}
        for group, user_id in zip(_key_groups(list(found)), found, strict=True):
            groups.setdefault(group, []).append(user_id)
        for group, users in groups.items():
            places = "= ?" if len(users) == 1 else f"IN ({', '.join('?' * len(users))})"
            rows = self._database.query(
                "SELECT user_id, audience FROM heads "
                f"WHERE key_group = ? AND user_id {places} AND (sequence & 1) = 1",
                (group, *users),
            )
            names = self._numbers.names(number for _, number in rows)
            for (user_id, _), name in zip(rows, names, strict=True):
                if name.parent_model == parent_model:
                    found[user_id].append(name.audience)
        for audiences in found.values():
            audiences.sort()
        return [found[user_id] for user_id in user_ids]

    def counts(self, parent_model: str) -> dict[str, int]:
        """How many members each audience has, by key; those that have none are left out."""
        wanted = set(self._numbers.of_parent_model(parent_model))
        rows = self._database.query(
            "SELECT audience, count(*) FROM heads WHERE (sequence & 1) = 1 GROUP BY audience"
        )
        counted = [(number, count) for number, count in rows if number in wanted]
        names = self._numbers.names(number for number, _ in counted)
        return {
            name.audience: count for name, (_, count) in sorted(zip(names, counted, strict=True))
        }

    def heads(self, parent_model: str, key_group: int) -> Iterator[RecordedHead]:
        """The last transition of every user and audience of a key group, ordered by user id.

        Those who have left are among them.  It is one consistent view only while nobody records
        for the key group; whoever has claimed it can see to that.
        """
        wanted = set(self._numbers.of_parent_model(parent_model))
        place: tuple[str, int] | None = None
        while True:
            further = "" if place is None else "AND (user_id, audience) > (?, ?) "
            rows = self._database.query(
                "SELECT user_id, audience, sequence, effective_at FROM heads "
                f"WHERE key_group = ? {further}ORDER BY user_id, audience LIMIT ?",
                (key_group, *(place or ()), PAGE),
            )
            names = self._numbers.names(row[1] for row in rows)
            for name, (user_id, number, sequence, effective_at) in zip(names, rows, strict=True):
                if number in wanted:
                    yield RecordedHead(user_id, name.audience, sequence, effective_at)
            if len(rows) < PAGE:
                return
            place = rows[-1][:2]

    def end(self) -> int:
        """The position of the last transition recorded; 0 before the first."""
        ((position,),) = self._database.query("SELECT position FROM journal_end")
        return int(position)

    def bounds(self) -> tuple[int, int]:
        """The positions of the oldest transition kept and of the last one recorded."""
        ((oldest, end),) = self._database.query(
            "SELECT (SELECT min(position) FROM journal), position FROM journal_end"
        )
        return (end + 1 if oldest is None else oldest), end

    def position_before(self, last: int) -> int:
        """The position that so many of the transitions still kept follow, or all there are."""
        oldest, end = self.bounds()
        return max(oldest - 1, end - last)

    def transitions(
        self,
        after: int | None = None,
        limit: int = PAGE,
        *,
        audience: str | None = None,
        user_id: str | None = None,
        within: int | None = None,
    ) -> JournalPage:
        """The next transitions in the order of their positions.

        Args:
            after: The last position that the reader knows; `None` begins with the oldest kept.
            audience, user_id: Only these.
            within: Look through so many positions at most.

        Raises:
            PositionPruned: transitions after that position are no longer kept.
            PositionAhead: the journal has not come to that position.
        """
        oldest, end = self.bounds()
        start = position = oldest - 1 if after is None else after
        if start > end:
            raise PositionAhead(start, end)
        conditions, values = self._conditions(audience, user_id)
        if within is not None:
            end = min(end, start + within)
        found: list[Row] = []
        while position < end and len(found) < limit:
            # Without conditions, positions have no gaps and one look is enough.
            until = min(end, position + (_POSITIONS_AT_ONCE if conditions else limit))
            found += self._database.query(
                f"{_JOURNAL} WHERE position > ? AND position <= ?{conditions} "
                "ORDER BY position LIMIT ?",
                (position, until, *values, limit - len(found)),
            )
            position = until
        if len(found) == limit:
            position = found[-1][0]
        # Asked only now, since the journal may have been pruned while we read.
        oldest, _ = self.bounds()
        if start < oldest - 1:
            if after is None:  # whatever is the oldest now will do
                return self.transitions(
                    limit=limit, audience=audience, user_id=user_id, within=within
                )
            raise PositionPruned(start, oldest)
        return JournalPage(self._entries(found), position)

    def progress(self) -> dict[str, str]:
        """What was last recorded as `progress`, by name, exactly as old as the journal is."""
        return dict(self._database.query("SELECT name, value FROM progress ORDER BY name"))

    def job(self) -> JobNote | None:
        """How far the job had come when it last said so; `None` if none ever has."""
        return job_note(self._database)

    def keys(self) -> list[ApiKey]:
        """Every key of the HTTP server, the oldest first."""
        return ApiKeys(self._database).all()

    def close(self) -> None:
        self._database.close()

    def _conditions(self, audience: str | None, user_id: str | None) -> tuple[str, list[object]]:
        conditions = ""
        values: list[object] = []
        if audience is not None:
            numbers = self._numbers.of_audience(audience)
            conditions += f" AND audience IN ({', '.join('?' * len(numbers)) or 'NULL'})"
            values += numbers
        if user_id is not None:
            conditions += " AND user_id = ?"
            values.append(user_id)
        return conditions, values

    def _memberships(self, rows: Sequence[Row]) -> list[Membership]:
        names = self._numbers.names(row[0] for row in rows)
        return memberships([(name, *row[1:]) for name, row in zip(names, rows, strict=True)])

    def _entries(self, rows: Sequence[Row]) -> list[JournalEntry]:
        return journal_entries(
            [row[0] for row in rows],
            [row[1:-1] for row in rows],
            self._numbers.names(row[1] for row in rows),
            [row[-1] for row in rows],
        )


_MEMBERS = (
    "SELECT audience, user_id, sequence, effective_at, cause, detail FROM heads "
    "WHERE (sequence & 1) = 1"
)
_JOURNAL = f"SELECT {JOURNAL.listed} FROM journal"


def _key_groups(user_ids: Sequence[str]) -> list[int]:
    if len(user_ids) == 1:
        return [group_of(user_ids[0])]
    groups: list[int] = groups_of(stable_hashes(Texts.of(user_ids))).tolist()
    return groups
