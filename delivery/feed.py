"""What a lane is fed with: pages of the journal, and of the members that a sync begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from audience_dsl.definitions import Sync
from connectors.destinations.destination import Message
from delivery.entries import Entry
from engine.records import ENTERED
from membership.deliveries import Population
from membership.facts import JournalEntry
from membership.reader import PAGE, MembershipReader
from membership.tail import JournalTail

# These transitions were found when somebody looked, and did not just happen.
_INITIAL = frozenset({"initial", "definition_changed", "reconciled"})

Make = Callable[[Sequence[JournalEntry]], Sequence[Entry]]


@dataclass(frozen=True, slots=True)
class Work:
    """A sync, the model and the version of its audience, and what makes messages for it."""

    sync: Sync
    parent_model: str
    version: str
    make: Make


class Feed:
    """Reads for one lane; its methods may block."""

    def __init__(self, work: Work, tail: JournalTail, reader: MembershipReader) -> None:
        self._work = work
        self._tail = tail
        self._reader = reader

    @property
    def end(self) -> int:
        """How far the journal goes."""
        return self._tail.end

    def page(self, after: int) -> tuple[Sequence[Entry], int]:
        """What follows a position, and up to where that is all.

        Raises:
            StoreError: the journal cannot be read.
        """
        entries = self._tail.after(after)
        if not entries:
            return [], after
        return self._work.make(entries), entries[-1].position

    def members(self, population: Population) -> tuple[Sequence[Entry], str | None]:
        """The next members, and the user id up to which these are all; `None`: they are the last.

        Who has moved since the population began is left out: the journal tells of him.

        Raises:
            StoreError: the members cannot be read.
        """
        parent_model, audience = self._work.parent_model, self._work.sync.audience
        found = self._reader.entries(
            parent_model,
            audience,
            population.after,
            PAGE,
            version=population.version,
            emitted_at=population.emitted_at,
        )
        users = [entry.record.user_id for entry in found]
        moved = self._reader.moved_since(parent_model, audience, population.position, users)
        kept = [entry for entry in found if entry.record.user_id not in moved]
        entries = [one._replace(is_initial=True) for one in self._work.make(kept)]
        return entries, users[-1] if len(found) == PAGE else None


def whole_records(sync: Sync) -> Make:
    """Messages of a sync without a mapping: the transition records that it wants."""
    asdict = msgspec.structs.asdict

    def make(entries: Sequence[JournalEntry]) -> list[Entry]:
        return [
            Entry(
                position,
                Message(record.id, record.user_id, record.type == ENTERED, asdict(record)),
                record.cause["kind"] in _INITIAL,
            )
            for position, record, _ in entries
            if is_wanted(sync, position, record.audience, record.type, record.cause["kind"])
        ]

    return make


def is_wanted(sync: Sync, position: int, audience: str, kind: str, cause: str) -> bool:
    """Whether a transition is for a sync; members that it begins with have the position 0.

    Where the initial members are held back, so are those who enter without anything having just
    happened.  Whoever leaves is always sent, so that nobody stays in a destination for ever.
    """
    if audience != sync.audience or kind not in sync.on:
        return False
    held = kind == ENTERED and cause in _INITIAL and position > 0
    return sync.sends_initial or not held
