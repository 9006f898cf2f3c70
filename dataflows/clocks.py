"""Clocks: they cut the stream of inputs into steps and say which instant has been reached.

Both let the warehouse snapshot take force at one instant, `start`.  What arrived before it is
history: it is counted in its windows, but causes no transition of its own.  Pure: the wall clock
is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from dataflows.steps import Step
from engine.hashing import GROUPS
from engine.inputs import Inputs

Batch = Mapping[str, Inputs]  # by parent model, each user's in order of arrival
KnownSince = Mapping[str, Mapping[int, int]]  # by parent model and number of the condition


class VirtualClock:
    """A backtest's clock: time is what the recording says.

    Args:
        start: The instant at which the snapshot takes force.
        until: The last instant that is looked at.
    """

    def __init__(self, start: int, until: int) -> None:
        self._start = start
        self._until = until
        self._in_force = False
        self.beyond = 0  # tallied inputs after `until`: they are not looked at

    def steps(self, batch: Batch, reached: int) -> Iterator[Step]:
        """Steps for inputs up to the arrival `reached`; batches come in order of arrival."""
        if reached > self._until:
            batch, rest = _cut(batch, self._until + 1)
            self.beyond += sum(int(inputs.tallied.sum()) for inputs in rest.values())
        reached = min(reached, self._until)
        if not self._in_force:
            history, batch = _cut(batch, self._start)
            if history:
                yield Step(None, history, min(reached, self._start))
            if reached < self._start:
                return
            self._in_force = True
            yield Step(self._start, {}, self._start)
        yield Step(None, batch, reached)

    def last_step(self) -> Iterator[Step]:
        """What remains when the recording has ended: what ages out at `until` is let happen."""
        if not self._in_force:
            yield Step(self._start, {}, self._start)
        yield Step(None, {}, self._until + 1)


class LiveClock:
    """The clock of a running job.

    A source that is caught up has delivered everything up to the time at which it was asked, less
    an allowance for what is still on its way; one that is behind, everything up to its latest
    arrival.  The clock is the slowest source's, and that of the one that was asked the longest ago.

    When all sources have caught up for the first time, key groups are reconciled, one a step.

    Args:
        start: When the job started: the instant at which its snapshot takes force.
        allowance: Microseconds between an event's arrival and the time it is read, at most.
        pace: Microseconds that pass between two steps in which nothing happens, at least: many
            sources that are silent are no reason for many steps.
    """

    def __init__(self, start: int, allowance: int, sources: Iterable[str], pace: int = 0) -> None:
        self._start = start
        self._allowance = allowance
        self._reached = dict.fromkeys(sources, _NOTHING_YET)
        self._caught_up = dict.fromkeys(self._reached, False)
        self._tick = _NOTHING_YET
        self._in_force = False
        self._reconciled = 0  # key groups
        self._pace = pace
        self.has_passed_start = False
        """Whether all that arrived before the start has been delivered."""
        self._told = _NOTHING_YET

    def steps(
        self, source: str, batch: Batch, latest: int | None, caught_up: bool, now: int
    ) -> Iterator[Step]:
        """Steps for what one source has delivered until `now`; `latest` is how far that reaches."""
        if caught_up:
            self._reached[source] = now - self._allowance
        elif latest is not None:
            self._reached[source] = latest
        self._caught_up[source] = caught_up
        self._tick = tick = min(self._reached.values())
        self.has_passed_start |= tick >= self._start
        if not self._in_force:
            history, batch = _cut(batch, self._start)
            if history:
                yield Step(None, history, min(tick, self._start))
            if not batch and tick < self._start:
                return
            self._in_force = True
            yield Step(self._start, {}, self._start)
        elif not batch and tick < self._told + self._pace:
            return
        self._told = tick
        yield Step(None, batch, tick, self._to_reconcile())

    def recall(self, batch: Batch, known_since: KnownSince | None) -> Step:
        """The step for what happened before, or for its end; the clock stays where it is."""
        return Step(None, {}, self._tick, None, batch, known_since)

    def _to_reconcile(self) -> int | None:
        """The next key group, once all that had happened before the start has been evaluated."""
        if self._reconciled == GROUPS or not all(self._caught_up.values()):
            return None
        self._reconciled += 1
        return self._reconciled - 1


# The tick of a source that has not delivered anything.
_NOTHING_YET = -(1 << 62)


def _cut(batch: Batch, instant: int) -> tuple[Batch, Batch]:
    """What arrived before the instant, and the rest."""
    before: dict[str, Inputs] = {}
    after: dict[str, Inputs] = {}
    for parent, inputs in batch.items():
        early = inputs.arrivals < instant
        if early.all():
            before[parent] = inputs
        elif not early.any():
            after[parent] = inputs
        else:
            before[parent] = inputs.taken(np.flatnonzero(early))
            after[parent] = inputs.taken(np.flatnonzero(~early))
    return before, after
