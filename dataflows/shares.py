"""Shares: what each process of a job reads.

The sources are divided among the processes: a Kafka topic and the log of a collector by their
partitions, a partition to the share of its number modulo the number of shares; every other source
as a whole, one after the other.  A reading is named after its source and the share that has read
it, so that the one clock of the job knows whom to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from audience_dsl.definitions import Settings


@dataclass(frozen=True, slots=True)
class Share:
    """Number `number` of `count`."""

    number: int
    count: int

    @property
    def name(self) -> str:
        """What names the share in the stream, and in what is stored."""
        return f"{self.number:02d}"

    def has(self, number: int) -> bool:
        """Whether that of many equal parts belongs to it."""
        return number % self.count == self.number


# A job of one process reads everything.
WHOLE = Share(0, 1)


def share_names(count: int) -> list[str]:
    return [Share(number, count).name for number in range(count)]


def is_divided(source: Settings) -> bool:
    return source.type in ("kafka", "http")


def sources_of(sources: Mapping[str, Settings], share: Share) -> list[Settings]:
    """The sources that a share reads, all or some of each."""
    return [
        source
        for number, source in enumerate(sources.values())
        if is_divided(source) or share.has(number)
    ]


def reading_name(source: str, share: Share) -> str:
    """What names what a share reads of a source."""
    return f"{source}/{share.name}"


def reading_names(sources: Mapping[str, Settings], count: int) -> list[str]:
    """All that are read by so many shares."""
    shares: Iterable[Share] = [Share(number, count) for number in range(count)]
    return [
        reading_name(source.key, share) for share in shares for source in sources_of(sources, share)
    ]


def slowest(reached: Mapping[str, int]) -> dict[str, int]:
    """Of what readings have reached, by source that of the share which is the furthest behind."""
    found: dict[str, int] = {}
    for name, instant in reached.items():
        source = name.rpartition("/")[0]
        found[source] = min(instant, found.get(source, instant))
    return found
