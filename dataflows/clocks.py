"""Clocks: they cut the stream of inputs into steps and say which instant has been reached.

Both let the warehouse snapshot take force at one instant, `start`.  What arrived before it is
history: it is counted in its windows, but causes no transition of its own.  Later ones take force
by switches, each at an instant of its own: behind all that arrived before it, and ahead of the
rest.  Pure: the wall clock is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from dataflows.steps import Step
from dataflows.switches import Switch
from engine.hashing import GROUPS
from engine.inputs import Inputs

Batch = Mapping[str, Inputs]  # by parent model, each user's in order of arrival
KnownSince = Mapping[str, Mapping[int, int]]  # by parent model and number of the condition

# The tick of a source that has not delivered anything.
_NOTHING_YET = -(1 << 62)


class VirtualClock:
    """A backtest's clock: time is what the recording says.

    Args:
        start: The instant at which the snapshot takes force.
        until: The last instant that is looked at.
        switches: Later ones, in their order.
    """

    def __init__(self, start: int, until: int, switches: Iterable[Switch] = ()) -> None:
        self._until = until
        later = [(one.at, one.versions) for one in switches if start < one.at <= until]
        self._coming = deque[tuple[int, Mapping[str, str] | None]]([(start, None), *later])
        self.beyond = 0  # tallied inputs after `until`: they are not looked at

    def steps(self, batch: Batch, reached: int) -> Iterator[Step]:
        """Steps for inputs up to the arrival `reached`; batches come in order of arrival."""
        if reached > self._until:
            batch, rest = _cut(batch, self._until + 1)
            self.beyond += sum(int(inputs.tallied.sum()) for inputs in rest.values())
        reached = min(reached, self._until)
        while self._coming:
            at, versions = self._coming[0]
            before, batch = _cut(batch, at)
            if before:
                yield Step(None, before, min(reached, at))
            if reached < at:
                return
            self._coming.popleft()
            yield Step(at, {}, at, versions=versions)
        yield Step(None, batch, reached)

    def last_step(self) -> Iterator[Step]:
        """What remains when the recording has ended: what ages out at `until` is let happen."""
        for at, versions in self._coming:
            yield Step(at, {}, at, versions=versions)
        yield Step(None, {}, self._until + 1)


class LiveClock:
    """The clock of a running job.

    A source that is caught up has delivered everything up to the time at which it was asked, less
    an allowance for what is still on its way; one that is behind, everything up to its latest
    arrival.  The clock is the slowest source's, and that of the one that was asked the longest ago.

    When all sources have caught up for the first time, key groups are reconciled, one a step.

    What arrived at the instant of a switch or later is held until the clock has come to it.

    Args:
        start: When the job started: the instant at which its snapshot takes force.
        allowance: Microseconds between an event's arrival and the time it is read, at most.
        pace: Microseconds that pass between two steps in which nothing happens, at least: many
            sources that are silent are no reason for many steps.
        coming: Switches that are to be repeated, in their order, all of them before the start.
        held: What was held when the state was stored that the job resumes from.
        resumed_at: The instant that this state had come to: after the start, if somebody has set
            the clock back.  No switch comes before it, as the state would take that for known.
    """

    def __init__(
        self,
        start: int,
        allowance: int,
        sources: Iterable[str],
        pace: int = 0,
        coming: Iterable[Switch] = (),
        held: Iterable[Batch] = (),
        resumed_at: int = _NOTHING_YET,
    ) -> None:
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
        self.told = _NOTHING_YET
        """The instant that the last step has brought the clock to, since the start."""
        self._latest = resumed_at  # instant of anything that was told
        self._coming = deque(coming)
        self._held: list[Batch] = list(held)

    @property
    def held(self) -> Sequence[Batch]:
        """What has been told and is in no step yet, in its order."""
        return self._held

    @property
    def now(self) -> int | None:
        """The instant that the clock has come to, once it runs."""
        return self.told if self._in_force else None

    @property
    def reached(self) -> Mapping[str, int]:
        """How far the sources go that have delivered anything."""
        return {name: one for name, one in self._reached.items() if one != _NOTHING_YET}

    @property
    def can_switch(self) -> bool:
        """Whether little would be held: all sources have caught up, and no other switch comes."""
        return self._in_force and not self._coming and all(self._caught_up.values())

    @property
    def next_instant(self) -> int:
        """The first instant that is later than everything told so far: that of the next switch."""
        return self._latest + 1

    def switch(self, switch: Switch) -> None:
        """Let versions of snapshots take force when the clock comes to `next_instant` or later."""
        self._coming.append(switch)

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
        self._latest = max(self._latest, now, *_latest_arrivals(batch))
        self.has_passed_start |= tick >= self._start
        batches = [*self._held, batch] if batch else self._held
        self._held = []
        while self._coming:
            switch = self._coming[0]
            before, batches = _all_cut(batches, switch.at)
            yield from self._passing(before, min(tick, switch.at))
            if tick < switch.at:
                self._held = batches
                return
            self._coming.popleft()
            self.told = switch.at
            yield Step(switch.at, {}, switch.at, versions=switch.versions)
        yield from self._passing(batches, tick)

    def _passing(self, batches: Sequence[Batch], tick: int) -> Iterator[Step]:
        """Steps for batches that need not wait; the clock moves with the last."""
        for batch in batches[:-1]:
            yield from self._pass(batch, min(tick, self.told))
        yield from self._pass(batches[-1] if batches else {}, tick)

    def _pass(self, batch: Batch, tick: int) -> Iterator[Step]:
        if not self._in_force:
            history, batch = _cut(batch, self._start)
            if history:
                yield Step(None, history, min(tick, self._start))
            if not batch and tick < self._start:
                return
            self._in_force = True
            yield Step(self._start, {}, self._start)
        elif not batch and tick < self.told + self._pace:
            return
        self.told = tick
        yield Step(None, batch, tick, self._to_reconcile())

    def recall(self, batch: Batch, known_since: KnownSince | None) -> Step:
        """The step for what happened before, or for its end; the clock stays where it is."""
        return Step(None, {}, self._tick, None, batch, known_since)

    def _to_reconcile(self) -> int | None:
        """The next key group, once all that had happened before the start has been evaluated."""
        is_ready = self.has_passed_start and all(self._caught_up.values())
        if self._reconciled == GROUPS or not is_ready:
            return None
        self._reconciled += 1
        return self._reconciled - 1


def _latest_arrivals(batch: Batch) -> list[int]:
    return [int(inputs.arrivals.max()) for inputs in batch.values() if inputs.size]


def _all_cut(batches: Sequence[Batch], instant: int) -> tuple[list[Batch], list[Batch]]:
    """What arrived before the instant, and the rest, without batches that have nothing."""
    halves = [_cut(batch, instant) for batch in batches]
    return [one for one, _ in halves if one], [one for _, one in halves if one]


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
