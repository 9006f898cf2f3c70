"""How long things took: a histogram that several processes can add up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

# Seconds; one more bucket has all that took longer.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


@dataclass(slots=True)
class Delays:
    """`counts` has an entry a bucket, `total` is in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def add_all(self, other: Delays) -> None:
        """Add what another has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    @property
    def buckets(self) -> Sequence[tuple[str, float]]:
        """As Prometheus has them: the bound, and how many took no longer."""
        found, count = 0, []
        for bound, here in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            found += here
            count.append((bound, float(found)))
        return count
