"""What a backtest found, in figures: what became of the records, and how each audience did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import pairwise

import numpy as np

from connectors.arrow import to_arrow
from engine.group import Counts
from engine.plan import Int32s, Int64s, Plan
from engine.texts import Texts
from engine.transitions import Transitions


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

    def add(self, counts: RecordCounts) -> None:
        """Add those of others."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(counts, one.name))

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
    # Of all transitions, as they came: number of the user, sequence, effective_at.
    _turns: list[tuple[Int64s, Int32s, Int64s]] = field(default_factory=list, repr=False)

    def add(self, users: Int64s, sequences: Int32s, instants: Int64s) -> None:
        """Take in the audience's transitions, at least one, in order."""
        entered = (sequences & 1) == 1
        sizes = self.members + np.cumsum(np.where(entered, 1, -1))
        last_of_instant = np.append(instants[1:] != instants[:-1], True)
        entries = int(entered.sum())
        self.entries += entries
        self.exits += entered.size - entries
        self.members = int(sizes[-1])
        self.peak_members = max(self.peak_members, int(sizes[last_of_instant].max()))
        self._turns.append((users, sequences, instants))

    @property
    def median_stay(self) -> int | None:
        """Microseconds, or `None` if nobody has exited."""
        if not self.exits:
            return None
        users, sequences, instants = map(np.concatenate, zip(*self._turns, strict=True))
        order = np.lexsort((sequences, users))
        # An exit follows its entry: same user, and the even sequence after an odd one.
        exits = np.flatnonzero(sequences[order] & 1 == 0)
        stays = instants[order[exits]] - instants[order[exits - 1]]
        return int(np.median(stays))


class Summary:
    """Figures of each audience, by key, from transitions in order.

    Transitions number audiences as if those of the plans stood one after the other.
    """

    def __init__(self, plans: Iterable[Plan], audiences: Iterable[str]) -> None:
        self.audiences = {key: AudienceFigures() for key in sorted(audiences)}
        self._keys = [audience.key for plan in plans for audience in plan.audiences]
        self._numbers: dict[str, int] = {}  # of users

    def add(self, transitions: Transitions) -> None:
        users = self._numbered(transitions.users)
        # Numbers of a byte or two are sorted in linear time.
        audiences = transitions.audiences.astype(np.min_scalar_type(len(self._keys)))
        by_audience = np.argsort(audiences, kind="stable")
        edges = np.searchsorted(audiences[by_audience], np.arange(len(self._keys) + 1))
        for key, (first, end) in zip(self._keys, pairwise(edges.tolist()), strict=True):
            if first < end:
                turns = by_audience[first:end]
                self.audiences[key].add(
                    users[turns], transitions.sequences[turns], transitions.effective_at[turns]
                )

    def _numbered(self, users: Texts) -> Int64s:
        found = to_arrow(users).dictionary_encode()
        numbers = self._numbers
        distinct = [numbers.setdefault(user, len(numbers)) for user in found.dictionary.to_pylist()]
        by_row: Int64s = np.array(distinct, dtype=np.int64)[found.indices.to_numpy()]
        return by_row
