"""The store's writing side: claims on key groups, and the journal's one way in.

A process that is to write the transitions of some key groups claims them first.  A claim ends all
earlier ones: a process that was thought dead and wakes up again is refused, and can harm nobody.
Recording and claiming one key group exclude each other, so that whoever has claimed a group sees
everything that was ever recorded for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from membership.audiences import AudienceNumbers
from membership.cursors import Cursors
from membership.database import Database, handed_over
from membership.errors import OwnerChanged
from membership.facts import Recorded
from membership.keys import ApiKeys
from membership.ledger import Ledger
from membership.proposals import Proposals
from membership.retention import Retention, prune
from membership.schema import HEADS, JOURNAL, PROGRESS, migrate
from membership.succession import EntryRow, Key, Succession

KeyGroup = tuple[str, int]  # parent model and number


class MembershipStore:
    """To be closed when it is done with; its methods may be called from any thread.

    Raises:
        StoreError: by all methods; what the call was to do has not been done, not even in part.
    """

    def __init__(self, database: Database) -> None:
        with handed_over(database):
            migrate(database)
        self._database = database
        self._numbers = AudienceNumbers(database)
        self._epochs: dict[KeyGroup, int] = {}
        self.cursors = Cursors(database)
        self.ledger = Ledger(database)
        self.keys = ApiKeys(database)

    def claim(self, groups: Iterable[KeyGroup]) -> None:
        """Become the one writer of these key groups; who was that before is refused from now on."""
        claimed = {}
        with self._database.transaction():
            for parent_model, number in sorted(set(groups)):
                ((epoch,),) = self._database.query(_CLAIM, (parent_model, number))
                claimed[parent_model, number] = epoch
        self._epochs.update(claimed)

    def record(
        self,
        batch: Sequence[Proposals],
        emitted_at: int,
        progress: Mapping[str, str] | None = None,
    ) -> Recorded:
        """Add to the journal what follows it, and update the members: all of it or nothing.

        When this returns, it is durable and every reader sees it.  Recording the same once more
        adds nothing.

        Args:
            batch: Of key groups that this store has claimed; several for one group are taken in
                their order.
            emitted_at: The wall clock.
            progress: What to remember with it, by name; see `MembershipReader.progress`.

        Raises:
            OwnerChanged: another process has claimed one of the key groups.
            StoreError: nothing was recorded.
        """
        numbers = [self._numbers.given(one.parent_model, one.keys) for one in batch]
        with self._database.transaction():
            self._check_claims(sorted({(one.parent_model, one.key_group) for one in batch}))
            keys = _keys(batch, numbers)
            found = self._database.look_up(HEADS, ("sequence", "effective_at", "proposed"), keys)
            succession = Succession(
                {key: head for key, head in zip(keys, found, strict=True) if head is not None}
            )
            entries = [
                entry
                for one, numbered in zip(batch, numbers, strict=True)
                for entry in succession.accept(one, numbered)
            ]
            self._database.upsert(HEADS, succession.changed)
            self._database.upsert(PROGRESS, list((progress or {}).items()))
            # Last, because from here to the commit all other writers wait.
            first = self._append(entries, emitted_at)
        names = self._numbers.names(entry[0] for entry in entries)
        return Recorded(first, entries, names, emitted_at)

    def prune(
        self, retention: Retention, now: int, go_on: Callable[[], bool] = lambda: True
    ) -> int:
        """Remove the oldest transitions from the journal, and say how many.

        Heads and members stay, and so does whatever a cursor has not passed yet.  `go_on` is asked
        now and then, when the store is free for others: no ends it there.
        """
        return prune(self._database, retention, now, go_on)

    def close(self) -> None:
        self._database.close()

    def _check_claims(self, groups: Sequence[KeyGroup]) -> None:
        for parent_model in sorted({parent_model for parent_model, _ in groups}):
            numbers = [number for parent, number in groups if parent == parent_model]
            places = ", ".join("?" * len(numbers))
            for number, epoch in self._database.query(
                "SELECT key_group, epoch FROM owners "
                f"WHERE parent_model = ? AND key_group IN ({places}) "
                f"ORDER BY key_group{self._database.dialect.for_update}",
                (parent_model, *numbers),
            ):
                if epoch != self._epochs.get((parent_model, number)):
                    raise OwnerChanged(
                        f"key group {number} of {parent_model} now belongs to another process; "
                        "this one has to stop"
                    )
                numbers.remove(number)
            assert not numbers, "key groups are claimed before they are written"

    def _append(self, entries: Sequence[EntryRow], emitted_at: int) -> int:
        """Write the entries behind the journal's end; return the first one's position."""
        if not entries:
            return 0
        ((end,),) = self._database.query(
            "UPDATE journal_end SET position = position + ? RETURNING position", (len(entries),)
        )
        first = int(end) - len(entries) + 1
        self._database.insert(
            JOURNAL, [(first + i, *entry, emitted_at) for i, entry in enumerate(entries)]
        )
        return first


_CLAIM = """
    INSERT INTO owners VALUES (?, ?, 1)
    ON CONFLICT (parent_model, key_group) DO UPDATE SET epoch = owners.epoch + 1
    RETURNING epoch"""


def _keys(batch: Sequence[Proposals], numbers: Sequence[Sequence[int]]) -> list[Key]:
    """Each key once, in the order in which they are stored."""
    return sorted(
        {
            (one.key_group, user_id, numbered[audience])
            for one, numbered in zip(batch, numbers, strict=True)
            for user_id, audience in zip(one.user_ids, one.audiences, strict=True)
        }
    )
