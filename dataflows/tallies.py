"""Counts of who is in which audience, and who is in two."""

from __future__ import annotations

import numpy as np

from dataflows.sampling import Sample
from engine.group import Memberships
from engine.hashing import stable_hashes
from engine.plan import Int64s


class Tally:
    """Adds up the memberships of key groups.

    `sizes` and `both` have an entry an audience, by number: how many of the sample are in it, and
    how many of them in the audience `of` as well.  `shown` members of that are chosen by their
    hashes, so that they are the same ones as long as they are members.
    """

    def __init__(self, audiences: int, of: int, sample: Sample, shown: int) -> None:
        self._of = of
        self._sample = sample
        self._shown = shown
        self._chosen: list[tuple[int, str]] = []
        self.sizes: Int64s = np.zeros(audiences, dtype=np.int64)
        self.both: Int64s = np.zeros(audiences, dtype=np.int64)

    def add(self, found: Memberships) -> None:
        users, audiences = found.users, found.audiences
        if not self._sample.is_whole:
            kept = self._sample.keeps(stable_hashes(found.ids))[users]
            users, audiences = users[kept], audiences[kept]
        members = users[audiences == self._of]
        inside = np.zeros(len(found.ids.starts) - 1, dtype=np.bool_)
        inside[members] = True
        self.sizes += np.bincount(audiences, minlength=self.sizes.size)
        self.both += np.bincount(audiences[inside[users]], minlength=self.sizes.size)
        ids = found.ids.taken(members)
        ranks = self._sample.ranks(stable_hashes(ids))
        first = np.argsort(ranks, kind="stable")[: self._shown].tolist()
        self._chosen += [(int(ranks[place]), ids.text(place)) for place in first]
        self._chosen = sorted(self._chosen)[: self._shown]

    def chosen(self) -> list[str]:
        """The users who are shown, sorted."""
        return sorted(user for _, user in self._chosen)
