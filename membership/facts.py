"""What the store tells: memberships, and transitions with their positions in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from engine.records import (
    ENTERED,
    EXITED,
    TransitionRecord,
    format_instants,
    kind_of,
    transition_ids,
)
from engine.transitions import Cause
from membership.succession import EntryRow

# What a cause's detail is called where the cause is shown; the other causes have none.
_DETAILS = {
    Cause.EVENT: "message_id",
    Cause.WINDOW_EXPIRED: "condition",
    Cause.WAREHOUSE_PULL: "pull",
}
_SHOWN = {int(cause): (kind_of(cause), _DETAILS.get(cause)) for cause in Cause}


class Membership(msgspec.Struct, frozen=True, gc=False):
    """`since` is the instant of the entry, ISO 8601 in UTC with microseconds."""

    parent_model: str
    user_id: str
    audience: str
    since: str
    sequence: int
    cause: dict[str, str]


class RecordedHead(NamedTuple):
    """The last recorded transition of a user and audience; a member if the sequence is odd."""

    user_id: str
    audience: str
    sequence: int
    effective_at: int


class JournalEntry(NamedTuple):
    """`position` orders the whole journal: 1, 2, 3 … without gaps.

    `event` are properties of the event that was the cause, as a JSON object: those that mappings
    named when it was recorded.
    """

    position: int
    record: TransitionRecord
    event: str | None = None


class JournalPage(NamedTuple):
    """`position` is how far the journal was looked through: the `after` of the next page."""

    entries: list[JournalEntry]
    position: int


class AudienceName(NamedTuple):
    parent_model: str
    audience: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a batch of proposals added to the journal, at position `first` and the following."""

    first: int  # 0 if there is none
    entries: Sequence[EntryRow]
    names: Sequence[AudienceName]  # of the entries
    emitted_at: int

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def last(self) -> int:
        """The last one's position; 0 if there is none."""
        return self.first + len(self.entries) - 1 if self.entries else 0

    def parts(self, size: int) -> list[Recorded]:
        """The same in pieces of at most so many transitions."""
        return [
            Recorded(
                self.first + i,
                self.entries[i : i + size],
                self.names[i : i + size],
                self.emitted_at,
            )
            for i in range(0, len(self.entries), size)
        ]

    def journal_entries(self, chosen: Sequence[int] | None = None) -> list[JournalEntry]:
        """As any reader of the journal will see them: all, or those at some places in `entries`."""
        if chosen is None:
            chosen = range(len(self.entries))
        return journal_entries(
            [self.first + i for i in chosen],
            [self.entries[i] for i in chosen],
            [self.names[i] for i in chosen],
            [self.emitted_at] * len(chosen),
        )


def journal_entries(
    positions: Sequence[int],
    rows: Sequence[EntryRow],
    names: Sequence[AudienceName],
    emitted_at: Sequence[int],
) -> list[JournalEntry]:
    identify = {name: transition_ids(name.parent_model, name.audience) for name in set(names)}
    return [
        JournalEntry(
            position,
            TransitionRecord(
                identify[name](user_id, sequence, instant),
                ENTERED if sequence & 1 else EXITED,
                name.audience,
                version,
                name.parent_model,
                user_id,
                effective_at,
                sequence,
                shown_cause(cause, detail),
                written,
            ),
            event,
        )
        for (
            position,
            (_, version, user_id, sequence, instant, cause, detail, event),
            name,
            effective_at,
            written,
        ) in zip(
            positions,
            rows,
            names,
            _instants([row[4] for row in rows]),
            _instants(emitted_at),
            strict=True,
        )
    ]


def memberships(rows: Sequence[tuple[AudienceName, str, int, int, int, str]]) -> list[Membership]:
    """Of (audience, user, sequence, effective_at, cause, detail)."""
    return [
        Membership(
            name.parent_model, user_id, name.audience, since, sequence, shown_cause(cause, detail)
        )
        for (name, user_id, sequence, _, cause, detail), since in zip(
            rows, _instants([row[3] for row in rows]), strict=True
        )
    ]


def shown_cause(cause: int, detail: str) -> dict[str, str]:
    kind, key = _SHOWN[cause]
    return {"kind": kind, key: detail} if key else {"kind": kind}


def _instants(instants: Sequence[int]) -> list[str]:
    return format_instants(np.array(instants, dtype=np.int64))
