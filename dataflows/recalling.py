"""What the sources held before, brought back for conditions that came later.

A condition that needs events which nobody counted is warming.  A recall reads once more what the
sources had delivered when the job began: from as far back as the longest window of a warming
condition reaches, up to the stored positions, behind which everything is counted anyway.  It runs
beside what is followed; overlap does no harm, so one that was interrupted begins again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from audience_dsl.definitions import EventModel, ParentPlan
from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.history import NOTHING_KNOWN
from dataflows.clocks import Batch
from engine.inputs import Inputs
from engine.plan import series_of

# So much more than the windows is read: what a broker or a file system says of time is rough.
_MARGIN = 60_000_000


class History(Protocol):
    """What a source had delivered; `done` of `size` has been read.

    Of what is not too old to matter, nothing later than `known_since` is missing; if something
    earlier is, `lack` says why.
    """

    @property
    def ended(self) -> bool: ...

    @property
    def size(self) -> int: ...

    @property
    def done(self) -> int: ...

    @property
    def known_since(self) -> int: ...

    @property
    def lack(self) -> str: ...

    def poll(self) -> Chunk | None: ...

    def close(self) -> None: ...


# Opens what a source had delivered at the positions of its shares, as far back as an instant.
OpenHistory = Callable[[Sequence[bytes], int], History]


@dataclass(frozen=True, slots=True)
class Recall:
    """What is to be recalled: nothing that happened before `since`.

    `warming` names conditions by parent model and number, `counted` those of the same events as
    well.  `clock` is what the key groups had reached.
    """

    warming: Mapping[str, Mapping[int, str]]  # with their words
    counted: Mapping[str, AbstractSet[int]]
    sources: Mapping[tuple[str, int], AbstractSet[str]]  # of each warming condition's events
    since: int
    clock: int

    @classmethod
    def of(
        cls,
        warming: Mapping[str, AbstractSet[int]],
        plans: Mapping[str, ParentPlan],
        events: Mapping[str, EventModel],
        clock: int,
    ) -> Recall:
        named: dict[str, dict[int, str]] = {}
        counted: dict[str, AbstractSet[int]] = {}
        sources: dict[tuple[str, int], AbstractSet[str]] = {}
        longest = 0
        for parent, one in plans.items():
            conditions = one.plan.conditions
            listening = {n for n, condition in enumerate(one.conditions) if condition.events}
            numbers = listening & warming.get(parent, frozenset())
            named[parent] = {number: conditions[number].key for number in sorted(numbers)}
            shared = [set(of) for of in series_of(conditions) if not numbers.isdisjoint(of)]
            counted[parent] = frozenset[int]().union(*shared)
            for number in numbers:
                longest = max(longest, conditions[number].window)
                models = one.conditions[number].events
                sources[parent, number] = {events[model].source for model in models}
        return cls(named, counted, sources, clock - longest - _MARGIN, clock)

    def known_since(self, sources: Mapping[str, int]) -> dict[str, dict[int, int]]:
        """For each warming condition since when it is complete, as the sources' histories are."""
        return {
            parent: {
                number: max([self.since, *(sources[one] for one in self.sources[parent, number])])
                for number in numbers
            }
            for parent, numbers in self.warming.items()
        }

    def young(self, batch: Batch) -> dict[str, Inputs]:
        """What may matter still."""
        return {
            parent: inputs.taken(np.flatnonzero(inputs.timestamps >= self.since))
            for parent, inputs in batch.items()
            if inputs.timestamps.max() >= self.since
        }


@dataclass(frozen=True, slots=True)
class Recalled:
    """A chunk of a source's history; or its end, with since when it is complete."""

    source: str
    chunk: Chunk | None
    known_since: int | None = None


class Told(Protocol):
    """Who wants to know how a recall goes on."""

    def progress(self, done: int, size: int) -> None: ...

    def lacks(self, source: str, why: str) -> None: ...


class Histories:
    """The histories of sources, one after the other.

    One that cannot be read, or not to its end, is as good as none: the job goes on.
    """

    def __init__(
        self,
        opens: Mapping[str, OpenHistory],
        positions: Mapping[str, Sequence[bytes]],
        recall: Recall,
        told: Told,
    ) -> None:
        self._told = told
        self._histories: dict[str, History] = {}
        self._failed: list[str] = []
        for source in sorted(set().union(*recall.sources.values())):
            try:
                history = opens[source](positions.get(source, ()), recall.since)
            except (SourceError, OSError) as error:
                self._fail(source, error)
            else:
                self._histories[source] = history
        self._size = sum(one.size for one in self._histories.values())
        self._done = 0

    def poll(self) -> Recalled | None:
        """What comes next; `None` for the moment, or because it has `ended`."""
        if self._failed:
            return Recalled(self._failed.pop(), None, NOTHING_KNOWN)
        for source, history in self._histories.items():
            try:
                chunk = history.poll()
            except (SourceError, OSError) as error:
                self._leave(source)
                self._fail(source, error)
                return self.poll()
            self._told.progress(self._done + history.done, self._size)
            if chunk is None and history.ended:
                self._leave(source)
                if history.lack:
                    self._told.lacks(source, history.lack)
                return Recalled(source, None, history.known_since)
            return None if chunk is None else Recalled(source, chunk)
        return None

    @property
    def ended(self) -> bool:
        return not self._histories and not self._failed

    def close(self) -> None:
        """Let go of all histories."""
        for source in list(self._histories):
            self._leave(source)

    def _leave(self, source: str) -> None:
        history = self._histories.pop(source)
        self._done += history.size
        history.close()

    def _fail(self, source: str, error: Exception) -> None:
        self._failed.append(source)
        self._told.lacks(source, str(error))


class Ends:
    """Since when all histories of a recall are complete, once each has come to its end."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall
        self._missing = set().union(*recall.sources.values())
        self._known_since: dict[str, int] = {}

    def take(self, source: str, known_since: int) -> dict[str, dict[int, int]] | None:
        """By parent model and number of the condition, with the last end."""
        self._known_since[source] = known_since
        self._missing.discard(source)
        return None if self._missing else self._recall.known_since(self._known_since)
