"""How far a running job has come, for whoever looks on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataflows.delays import Delays
from dataflows.summary import RecordCounts


@dataclass(slots=True)
class Progress:
    """`clock` is the instant up to which all is evaluated, `None` until the job has begun.

    Of transitions that events have caused, and of those that time has, `after_events` and
    `after_windows` say how long after their instant they were recorded.
    """

    counts: RecordCounts = field(default_factory=RecordCounts)
    clock: int | None = None
    has_caught_up: bool = False
    """Whether all that had arrived before the job's start has been read."""
    after_events: Delays = field(default_factory=Delays)
    after_windows: Delays = field(default_factory=Delays)

    def tell_time(self, clock: int, *, has_caught_up: bool) -> None:
        self.clock = clock
        self.has_caught_up |= has_caught_up

    def see(self, before: Progress, parts: Iterable[Progress]) -> None:
        """Become what all parts of a job have come to, after what there was `before` it."""
        counts, events, windows = RecordCounts(), Delays(), Delays()
        for part in (before, *parts):
            counts.add(part.counts)
            events.add_all(part.after_events)
            windows.add_all(part.after_windows)
            if part is not before and part.clock is not None:  # one of them has the clock
                self.tell_time(part.clock, has_caught_up=part.has_caught_up)
        self.counts, self.after_events, self.after_windows = counts, events, windows
