"""What a lane is fed with: pages of the journal, and of the members that a sync begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from audience_dsl.definitions import Sync
from delivery.entries import Entry
from delivery.pins import PinnedProfiles
from membership.deliveries import Population
from membership.facts import JournalEntry
from membership.reader import PAGE, MembershipReader
from membership.tail import JournalTail


class Make(Protocol):
    """Makes messages of what was read: of the journal, or of a population's members."""

    def __call__(
        self, entries: Sequence[JournalEntry], population: Population | None = None
    ) -> Sequence[Entry]: ...


@dataclass(frozen=True, slots=True)
class Work:
    """A sync, the model and the version of its audience, and the users that it is about."""

    sync: Sync
    parent_model: str
    version: str
    profiles: PinnedProfiles


class Feed:
    """Reads for one lane; its methods may block.  `make` makes messages of what was read."""

    def __init__(self, work: Work, make: Make, tail: JournalTail, reader: MembershipReader) -> None:
        self._work = work
        self._make = make
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
        found = self._tail.after(after, self._work.sync.audience)
        return (self._make(found.entries) if found.entries else []), found.position

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
        entries = [one._replace(is_initial=True) for one in self._make(kept, population)]
        return entries, users[-1] if len(found) == PAGE else None
