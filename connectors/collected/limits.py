"""How much a log takes before it refuses, and how long it keeps what it has."""

from __future__ import annotations

from dataclasses import dataclass

_DAY = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """What may wait to be written: events, and bytes of them."""

    events: int = 100_000
    size: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Retention:
    """How old (microseconds) what was read may be, and how large (bytes) all may be with it.

    What has not been read is kept in any case.
    """

    age: int = 7 * _DAY
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """A segment ends at `segment` bytes or `duration` microseconds; a commit has some `commit`."""

    segment: int = 64 << 20
    duration: int = 3_600 * 1_000_000
    commit: int = 4 << 20
