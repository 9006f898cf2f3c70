"""How much a log takes before it refuses, and how long it keeps what it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_DAY = 86_400 * 1_000_000
_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


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

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Self:
        """What a definition says, `{"age": microseconds, "size": "50GB"}`, both optional."""
        told: dict[str, int] = {}
        if isinstance(age := options.get("age"), int):
            told["age"] = age
        if isinstance(size := options.get("size"), str):
            told["size"] = int(size[:-2]) * _UNITS[size[-2:]]
        return cls(**told)


@dataclass(frozen=True, slots=True)
class Sizes:
    """A segment ends at `segment` bytes or `duration` microseconds; a commit has some `commit`."""

    segment: int = 64 << 20
    duration: int = 3_600 * 1_000_000
    commit: int = 4 << 20
