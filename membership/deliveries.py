"""What is remembered of deliveries: how far a sync has come, what waits, what was given up.

A sync's place in the journal is its cursor: everything up to it is accepted, not for the sync, or
written down here.  So one message that is refused again and again holds up nobody but its own user.

Within a sync, a user's transitions are of one audience; their sequences are their order and, with
the user, their name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class SyncStatus(StrEnum):
    RUNNING = "running"
    OPEN = "open"  # the destination fails; now and then one request finds out whether it still does
    PAUSED = "paused"  # it refuses the credentials; now and then one message finds out
    DISABLED = "disabled"  # it is gone; until somebody resumes the sync


class Who(NamedTuple):
    """A message among those of a sync."""

    user_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits for another attempt, or for an earlier one of its user.

    `record` and `mapped` are JSON as it is sent; `mapped` is empty where there is no mapping.
    `position` is 0 for a member of the first population.  Instants are 0 before the first attempt.
    """

    user_id: str
    sequence: int
    position: int
    record: str
    mapped: str
    attempts: int = 0
    first_attempt: int = 0
    due: int = 0
    reason: str = ""

    @property
    def who(self) -> Who:
        return Who(self.user_id, self.sequence)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, with the last thing that was said about it.

    It has all that sending it again needs; `request` and `response` are masked.
    """

    user_id: str
    sequence: int
    position: int
    id: str
    record: str
    mapped: str
    attempts: int
    at: int
    reason: str
    status: int = 0
    request: str = ""
    response: str = ""

    @property
    def who(self) -> Who:
        return Who(self.user_id, self.sequence)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request: when it began, how long it took (microseconds), and what came of it.

    `verdict` is the worst of its messages'; `ids` are the first few.
    """

    at: int
    duration: int
    messages: int
    ids: str
    verdict: str
    reason: str
    status: int
    request: str
    response: str


@dataclass(frozen=True, slots=True)
class SyncState:
    """`since` is when it became so; `reason` why, or the last error; counters are messages."""

    status: SyncStatus = SyncStatus.RUNNING
    since: int = 0
    reason: str = ""
    failed_at: int = 0  # the last error's
    sent: int = 0
    failed: int = 0  # attempts of messages that were to be repeated
    retried: int = 0  # accepted, but not at the first attempt
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Population:
    """The members that a sync begins with, by user id; `after` is how far it has come.

    They are the members whose last transition is at `position` or before.  `version` and
    `emitted_at` are what their records say, the same after a restart.  They come `again` where the
    sync has had all of them before, to send or to withhold.
    """

    position: int
    version: str
    emitted_at: int
    after: str | None = None
    is_complete: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What a sync adds to what is remembered: all of it in one transaction, or nothing."""

    sync: str
    cursor: int
    population: Population | None = None
    waiting: Sequence[Waiting] = ()
    settled: Sequence[Who] = ()  # they wait no longer
    dead: Sequence[DeadLetter] = ()
    revived: Sequence[Who] = ()  # they are dead letters no longer, and wait
    attempts: Sequence[Attempt] = ()
    state: SyncState | None = None


class Ask(StrEnum):
    """What somebody may want of whoever delivers."""

    RESUME = "resume"  # the destination works, they say
    REPLAY = "replay"  # send again all that was given up until now
    RESYNC = "resync"  # send all members as of now


@dataclass(frozen=True, slots=True)
class Request:
    """`letter` is the id of the only transition that is to be replayed; empty: all of them."""

    number: int
    sync: str
    kind: Ask
    letter: str
    asked_at: int


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a sync goes on from.

    `dead` are those whom the cursors have not passed: they are not to be sent again.  `sent` says
    how many requests went out lately, and when; `None`: nobody has written it down.
    """

    cursor: int
    population: Population | None = None
    waiting: Sequence[Waiting] = ()
    dead: frozenset[Who] = frozenset()
    state: SyncState = field(default_factory=SyncState)
    sent: Sequence[tuple[int, int]] | None = ()
