"""What goes into the core: columns of events, and the warehouse's answers.

Batches are columnar because the kernels are: one array a field, texts as one run of UTF-8 bytes
with offsets.  Nothing here is decoded, compared or converted again on the way through the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

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
        one_byte_each = len(data) == len(joined)
        lengths = map(len, texts if one_byte_each else [text.encode() for text in texts])
        starts = np.zeros(len(texts) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(lengths, dtype=np.int64, count=len(texts)), out=starts[1:])
        return cls(np.frombuffer(data, dtype=np.uint8), starts)

    def between(self, first: int, end: int) -> Texts:
        """Texts `first` … `end - 1`, sharing memory."""
        return Texts(self.data, self.starts[first : end + 1])

    def frozen(self) -> Texts:
        return Texts(read_only(self.data), read_only(self.starts))

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


_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def read_only(array: _Array) -> _Array:
    """A contiguous view that cannot be written to."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return cast(_Array, view)
