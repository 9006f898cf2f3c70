"""How far a running job has come, for whoever looks on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataflows.summary import RecordCounts


@dataclass(slots=True)
class Progress:
    """`clock` is the instant up to which all is evaluated, `None` until the job has begun."""

    counts: RecordCounts = field(default_factory=RecordCounts)
    clock: int | None = None
    has_caught_up: bool = False
    """Whether all that had arrived before the job's start has been read."""

    def tell_time(self, clock: int, *, has_caught_up: bool) -> None:
        self.clock = clock
        self.has_caught_up |= has_caught_up

    def see(self, before: RecordCounts, parts: Iterable[Progress]) -> None:
        """Become what all parts of a job have come to; `before` it, so much had been read."""
        counts = RecordCounts()
        counts.add(before)
        for part in parts:
            counts.add(part.counts)
            if part.clock is not None:  # one of them has the clock
                self.tell_time(part.clock, has_caught_up=part.has_caught_up)
        self.counts = counts
