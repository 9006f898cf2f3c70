"""How far a running job has come, for whoever looks on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dataflows.delays import Delays
from dataflows.summary import RecordCounts

_NOTHING: Mapping[str, int] = {}

# Kinds of what is wrong that are counted each on its own; whoever sends cannot make more of them.
_MOST_KINDS = 30
_OTHERS = "anything else"


class SourceCounts(NamedTuple):
    """What a job has read of one source; and by what is wrong with them, what was invalid."""

    read: int = 0
    invalid: Mapping[str, int] = _NOTHING

    def plus(self, read: int, invalid: Mapping[str, int]) -> SourceCounts:
        if not invalid:
            return self._replace(read=self.read + read)
        counted = dict(self.invalid)
        for reason, count in invalid.items():
            kind = reason if reason in counted or len(counted) < _MOST_KINDS else _OTHERS
            counted[kind] = counted.get(kind, 0) + count
        return SourceCounts(self.read + read, counted)


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
    # By source, and replaced as a whole: another thread may be looking through them.
    sources: Mapping[str, SourceCounts] = field(default_factory=dict)
    reached: Mapping[str, int] = field(default_factory=dict)
    """Up to which instant all that has arrived from each source has been read."""

    def count_source(self, source: str, read: int, reasons: Iterable[str]) -> None:
        """Count records read, and each `DeadLetter.reason` of those that were invalid."""
        known = self.sources.get(source, SourceCounts())
        invalid = Counter(one.partition(":")[0] for one in reasons)  # which its details follow
        self.sources = {**self.sources, source: known.plus(read, invalid)}

    def tell_time(
        self, clock: int, reached: Mapping[str, int] = _NOTHING, *, has_caught_up: bool
    ) -> None:
        self.clock = clock
        self.reached = reached
        self.has_caught_up |= has_caught_up

    def see(self, before: Progress, parts: Iterable[Progress]) -> None:
        """Become what all parts of a job have come to, after what there was `before` it."""
        counts, events, windows = RecordCounts(), Delays(), Delays()
        sources: dict[str, SourceCounts] = {}
        for part in (before, *parts):
            for source, one in part.sources.items():
                sources[source] = sources.get(source, SourceCounts()).plus(*one)
            counts.add(part.counts)
            events.add_all(part.after_events)
            windows.add_all(part.after_windows)
            if part is not before and part.clock is not None:  # one of them has the clock
                self.tell_time(part.clock, part.reached, has_caught_up=part.has_caught_up)
        self.counts, self.after_events, self.after_windows = counts, events, windows
        self.sources = sources
