"""What goes into the core: columns of events, and the warehouse's answers.

Batches are columnar because the kernels are: one array a field, texts as one run of UTF-8 bytes
with offsets.  Nothing here is decoded, compared or converted again on the way through the core.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.plan import Booleans, Int32s, Int64s, Lists
from engine.texts import Texts, read_only


class Inputs(NamedTuple):
    """Events of one parent model's users that some condition asks about, in order of arrival.

    All columns have one entry an event.  Instants are microseconds since 1970 UTC.
    """

    users: Texts
    user_hashes: Int64s  # stable_hashes(users)
    timestamps: Int64s  # as recorded, not yet limited by the arrival
    arrivals: Int64s
    message_ids: Texts  # a hash of the content where the event has none; see `cargo`
    message_hashes: Int64s  # stable_hashes of the bare ids
    condition_sets: Int32s  # which conditions count the event: a list of `sets`; may be empty
    sets: Lists
    tallied: Booleans  # whether the event appears in the counts of matched, duplicate and late

    @property
    def size(self) -> int:
        return self.timestamps.size

    def between(self, first: int, end: int) -> Inputs:
        """Rows `first` … `end - 1`, sharing memory."""
        return Inputs(
            self.users.between(first, end),
            self.user_hashes[first:end],
            self.timestamps[first:end],
            self.arrivals[first:end],
            self.message_ids.between(first, end),
            self.message_hashes[first:end],
            self.condition_sets[first:end],
            self.sets,
            self.tallied[first:end],
        )

    def taken(self, rows: Int64s) -> Inputs:
        """The given rows, in the given order."""
        return Inputs(
            self.users.taken(rows),
            self.user_hashes[rows],
            self.timestamps[rows],
            self.arrivals[rows],
            self.message_ids.taken(rows),
            self.message_hashes[rows],
            self.condition_sets[rows],
            self.sets,
            self.tallied[rows],
        )

    def frozen(self) -> Inputs:
        """The same columns, read-only: kernels are compiled for one kind of array only."""
        if not self.arrivals.flags.writeable:
            return self
        return Inputs(
            self.users.frozen(),
            read_only(self.user_hashes),
            read_only(self.timestamps),
            read_only(self.arrivals),
            self.message_ids.frozen(),
            read_only(self.message_hashes),
            read_only(self.condition_sets),
            Lists(read_only(self.sets.starts), read_only(self.sets.items)),
            read_only(self.tallied),
        )


class Snapshot(NamedTuple):
    """The warehouse's answers for all users it knows, in ascending order of their hash.

    A user's predicate bits are `patterns[pattern_of[i]]`: few combinations occur, so five million
    users cost a small number each.  `hashes` ascend as signed integers; rows of equal hash are
    told apart by the user's id.
    """

    users: Texts
    hashes: Int64s  # stable_hashes(users), ascending
    pattern_of: Int32s
    patterns: Int64s  # shape (patterns, Plan.word_count)

    @classmethod
    def empty(cls, word_count: int) -> Snapshot:
        """The snapshot of a warehouse that knows nobody."""
        return cls(
            Texts.of([]),
            np.empty(0, dtype=np.int64),
            np.empty(0, dtype=np.int32),
            np.empty((0, word_count), dtype=np.int64),
        )

    def frozen(self) -> Snapshot:
        return Snapshot(
            self.users.frozen(),
            read_only(self.hashes),
            read_only(self.pattern_of),
            read_only(self.patterns),
        )
