"""How each sync stands, for whoever asks: read from the store, whether or not anybody delivers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audience_dsl.definitions import Sync
from membership.deliveries import Ask, Population, SyncState, SyncStatus
from membership.reader import MembershipReader


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a sync is behind the journal's end.

    `transitions` are all of the journal's that it has not passed, whatever their audience; `age` is
    that of the first of them, in microseconds.  Messages that are parked it has passed.
    """

    transitions: int
    age: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A sync that no job has begun yet has no `state` and no `lag`.

    `parked_since` is the first attempt at any message that is parked; `dead_letters` are those that
    were not sent again; `asked` is what nobody has taken up yet.
    """

    sync: Sync
    state: SyncState | None
    lag: Lag | None
    parked: int
    parked_since: int | None
    dead_letters: int
    population: Population | None
    asked: tuple[Ask, ...]

    @property
    def status(self) -> str:
        return "new" if self.state is None else str(self.state.status)

    @property
    def why(self) -> str:
        """Why it is not running; empty if it is."""
        if self.state is None or self.state.status is SyncStatus.RUNNING:
            return ""
        return self.state.reason


def standings(syncs: Iterable[Sync], reader: MembershipReader, now: int) -> list[Standing]:
    """One for each sync, in their order; `now` is the wall clock.

    Raises:
        StoreError: the store cannot be read.
    """
    log = reader.deliveries
    cursors, states, populations = log.cursors(), log.states(), log.populations()
    waiting, letters, requests = log.waiting_counts(), log.dead_letter_counts(), log.requests()
    # Cursors first: one that moves meanwhile is never beyond the end.
    end = reader.end()
    found = []
    for sync in syncs:
        key = sync.key
        parked, since = waiting.get(key, (0, None))
        cursor = cursors.get(key)
        written = None if cursor is None else log.written_after(cursor)
        found.append(
            Standing(
                sync,
                None if cursor is None else states.get(key, SyncState()),
                None
                if cursor is None
                else Lag(end - cursor, 0 if written is None else max(0, now - written)),
                parked,
                since,
                letters.get(key, 0),
                populations.get(key),
                tuple(one.kind for one in requests if one.sync == key),
            )
        )
    return found
