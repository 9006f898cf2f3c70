"""When the system learned of each record."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from connectors.sources.instants import NO_INSTANT
from engine.plan import Int64s


class ArrivalPolicy(StrEnum):
    """Where an event's arrival comes from; but for `EVENT`, a source that knows it is asked."""

    EVENT = "event"  # it is the event's own instant
    RECORDED = "recorded"  # when the collector received it, else its own instant; never falls
    LIVE = "live"  # when the collector received it, else now; never falls
    RECALLED = "recalled"  # what was LIVE once: if not told, its own instant, but not after now


class Arrivals:
    """Arrivals that never fall within a file.

    All readable records of a file take part, also those that no event model asks for, so that an
    audience's transitions do not depend on which others are evaluated.
    """

    def __init__(self) -> None:
        self.latest: dict[str, int] = {}

    def recorded(self, file: str, received: Int64s, own: Int64s) -> Int64s:
        """The arrivals of consecutive records: `received` where known, else `own` instants."""
        return self._never_falling(file, np.where(received == NO_INSTANT, own, received))

    def live(self, file: str, received: Int64s, now: int) -> Int64s:
        """The same for what is read at `now`; what was received later than that cannot be."""
        known = (received != NO_INSTANT) & (received <= now)
        return self._never_falling(file, np.where(known, received, now))

    def _never_falling(self, file: str, arrivals: Int64s) -> Int64s:
        if len(arrivals):
            arrivals[0] = max(int(arrivals[0]), self.latest.get(file, NO_INSTANT))
            np.maximum.accumulate(arrivals, out=arrivals)
            self.latest[file] = int(arrivals[-1])
        return arrivals
