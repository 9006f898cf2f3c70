"""What goes into the core: columns of events, and the warehouse's answers.

Batches are columnar because the kernels are: one array a field, texts as one run of UTF-8 bytes
with offsets.  Nothing here is decoded, compared or converted again on the way through the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.plan import Booleans, Bytes, Int32s, Int64s, Lists


class Texts(NamedTuple):
    """A column of texts: text `i` is the UTF-8 `data[starts[i]:starts[i + 1]]`."""

    data: Bytes
    starts: Int64s

    @classmethod
    def of(cls, texts: Sequence[str]) -> Texts:
        """Raises `UnicodeEncodeError` for lone surrogates, which are not text."""
        joined = "".join(texts)
        data = joined.encode()
        if len(data) == len(joined):
            lengths = map(len, texts)
        else:
            lengths = (len(text.encode()) for text in texts)
        starts = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(lengths, dtype=np.int64, count=len(texts)), out=starts[1:])
        return cls(np.frombuffer(data, dtype=np.uint8), starts)

    def text(self, i: int) -> str:
        return self.data[self.starts[i] : self.starts[i + 1]].tobytes().decode()


class Inputs(NamedTuple):
    """Events of one parent model's users that some condition asks about, in order of arrival.

    All columns have one entry an event.  Instants are microseconds since 1970 UTC.
    """

    users: Texts
    user_hashes: Int64s  # stable_hashes(users)
    timestamps: Int64s  # as recorded, not yet limited by the arrival
    arrivals: Int64s
    message_ids: Texts  # a hash of the content where the event has none
    message_hashes: Int64s  # stable_hashes(message_ids)
    condition_sets: Int32s  # which conditions count the event: a list of `sets`; may be empty
    sets: Lists
    tallied: Booleans  # whether the event appears in the counts of matched, duplicate and late

    @property
    def count(self) -> int:
        return self.timestamps.size


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
