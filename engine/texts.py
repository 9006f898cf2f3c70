"""Columns of texts: one run of UTF-8 bytes with offsets, as kernels read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from engine.compiled import kernel
from engine.plan import Bytes, Int64s


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

    def text(self, i: int) -> str:
        return self.data[self.starts[i] : self.starts[i + 1]].tobytes().decode()

    def between(self, first: int, end: int) -> Texts:
        """Texts `first` … `end - 1`, sharing memory."""
        return Texts(self.data, self.starts[first : end + 1])

    def taken(self, rows: Int64s) -> Texts:
        """The texts of some rows, in the order of `rows`."""
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self.starts[rows + 1] - self.starts[rows], out=starts[1:])
        data = np.empty(starts[-1], dtype=np.uint8)
        copy_runs(self.data, self.starts, rows, data, starts)
        return Texts(data, starts)

    def frozen(self) -> Texts:
        return Texts(read_only(self.data), read_only(self.starts))


_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def read_only(array: _Array) -> _Array:
    """A contiguous view that cannot be written to: kernels are compiled for one kind of array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return cast(_Array, view)


@kernel
def copy_runs(
    source: Bytes, from_starts: Int64s, rows: Int64s, target: Bytes, to_starts: Int64s
) -> None:
    """Copy the bytes of some rows one after the other.

    Unsigned places tell the compiler that no index counts from the end, so it copies in bulk.
    """
    for i in range(rows.size):
        begin = np.uint64(from_starts[rows[i]])
        place = np.uint64(to_starts[i])
        for step in range(to_starts[i + 1] - to_starts[i]):
            target[place + np.uint64(step)] = source[begin + np.uint64(step)]
