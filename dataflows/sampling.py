"""A share of the users, always the same ones, and what they tell of all.

A user belongs to a sample by the hash of the id alone, so samples of everything agree: of events,
of a snapshot, of stored state.  The bits are not those that select the key group, so that each
group gives its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import NamedTuple

import numpy as np

from engine.inputs import Inputs, Snapshot
from engine.plan import Booleans, Int64s

_BITS = 32

# Of a normal distribution, 95 % lie within so many standard deviations.
_DEVIATIONS = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a number of users; with 95 % certainty it is between `least` and `most`, both included."""

    count: int
    least: int
    most: int


class Sample(NamedTuple):
    """`share` of the users, above 0 and up to 1."""

    share: float = 1.0

    @property
    def is_whole(self) -> bool:
        return self.share >= 1

    def ranks(self, hashes: Int64s) -> Int64s:
        """Where users stand, from 0 on: those of a sample before all others."""
        return hashes & ((1 << _BITS) - 1)

    def keeps(self, hashes: Int64s) -> Booleans:
        kept: Booleans = self.ranks(hashes) < self.share * (1 << _BITS)
        return kept

    def of_inputs(self, inputs: Inputs) -> Inputs:
        if self.is_whole:
            return inputs
        return inputs.taken(np.flatnonzero(self.keeps(inputs.user_hashes)))

    def of_snapshot(self, snapshot: Snapshot) -> Snapshot:
        if self.is_whole:
            return snapshot
        rows = np.flatnonzero(self.keeps(snapshot.hashes))
        return snapshot._replace(
            users=snapshot.users.taken(rows),
            hashes=snapshot.hashes[rows],
            pattern_of=snapshot.pattern_of[rows],
        )

    def estimate(self, found: int) -> Estimate:
        """How many there are in all, of whom so many were found in the sample.

        Of `n` users the sample has a binomial number.  The interval has every `n` of which `found`
        is not too far from what is expected (Wilson, 1927): it is right also where nobody was
        found.
        """
        if self.is_whole:
            return Estimate(found, found, found)
        spread = _DEVIATIONS * _DEVIATIONS * (1 - self.share)
        middle = 2 * found + spread
        half = sqrt(spread * (4 * found + spread))
        least = ceil((middle - half) / (2 * self.share))
        most = floor((middle + half) / (2 * self.share))
        return Estimate(round(found / self.share), max(least, found), max(most, found))


EVERYBODY = Sample()
