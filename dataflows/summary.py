"""What a backtest found, in figures: what became of the records, and how each audience did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from audience_dsl.definitions import ParentPlan
from dataflows.chronicle import Stretch
from engine.group import Counts
from engine.plan import Booleans, Int64s


@dataclass(slots=True)
class RecordCounts:
    """`read = matched + ignored + duplicate + late + invalid`, exactly."""

    read: int = 0
    matched: int = 0
    ignored: int = 0
    duplicate: int = 0
    late: int = 0
    invalid: int = 0
    ahead: int = 0  # dated later than their arrival; these are among the matched

    def add_evaluated(self, counts: Counts) -> None:
        self.matched += counts.matched
        self.duplicate += counts.duplicate
        self.late += counts.late
        self.ahead += counts.ahead


@dataclass(slots=True)
class AudienceFigures:
    """Members are counted at the end of each instant; stays are those that have ended."""

    entries: int = 0
    exits: int = 0
    members: int = 0
    peak_members: int = 0
    stays: list[int] = field(default_factory=list)

    @property
    def median_stay(self) -> int | None:
        """Microseconds, or `None` if nobody has exited."""
        return int(median(self.stays)) if self.stays else None


class Summary:
    """Figures of each audience, by key, from transitions in order."""

    def __init__(self, plans: Mapping[str, ParentPlan], audiences: Iterable[str]) -> None:
        self._plans = plans
        self.audiences = {key: AudienceFigures() for key in sorted(audiences)}
        self._since: dict[tuple[str, str], int] = {}

    def add(self, stretch: Stretch) -> None:
        for part, (parent, transitions) in enumerate(stretch.columns):
            rows = stretch.rows[stretch.parts == part]
            keys = [audience.key for audience in self._plans[parent].plan.audiences]
            numbers = transitions.audiences[rows]
            by_audience = np.argsort(numbers, kind="stable")
            ends = np.searchsorted(numbers[by_audience], np.arange(len(keys) + 1))
            for number, key in enumerate(keys):
                chosen = rows[by_audience[ends[number] : ends[number + 1]]]
                if not chosen.size:
                    continue
                entered = (transitions.sequences[chosen] & 1) == 1
                instants = transitions.effective_at[chosen]
                self._count(self.audiences[key], entered, instants)
                users = [transitions.user_ids[row] for row in chosen.tolist()]
                self._follow(key, users, entered.tolist(), instants.tolist())

    def _count(
        self,
        figures: AudienceFigures,
        entered: Booleans,
        instants: Int64s,
    ) -> None:
        sizes = figures.members + np.cumsum(np.where(entered, 1, -1))
        last_of_instant = np.append(instants[1:] != instants[:-1], True)
        entries = int(entered.sum())
        figures.entries += entries
        figures.exits += entered.size - entries
        figures.members = int(sizes[-1])
        figures.peak_members = max(figures.peak_members, int(sizes[last_of_instant].max()))

    def _follow(
        self, audience: str, users: list[str], entered: list[bool], instants: list[int]
    ) -> None:
        stays = self.audiences[audience].stays
        for user, enters, instant in zip(users, entered, instants, strict=True):
            if enters:
                self._since[audience, user] = instant
            else:
                stays.append(instant - self._since.pop((audience, user)))
