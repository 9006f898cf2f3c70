"""Columns of texts: one run of UTF-8 bytes with offsets, as kernels read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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

    @classmethod
    def cut(cls, source: Bytes, begins: Int64s, starts: Int64s) -> Texts:
        """Copies of texts that lie in some bytes: text `i` of the column from `begins[i]` on."""
        data = np.empty(starts[-1], dtype=np.uint8)
        copy_runs(read_only(source), begins, data, starts)
        return cls(data, starts)

    @classmethod
    def concatenated(cls, columns: Sequence[Texts]) -> Texts:
        """One column after the other; the bytes begin at 0."""
        data, starts = [], [np.zeros(1, dtype=np.int64)]
        end = 0
        for column in columns:
            first, last = int(column.starts[0]), int(column.starts[-1])
            data.append(column.data[first:last])
            starts.append(column.starts[1:] + (end - first))
            end += last - first
        return cls(np.concatenate(data), np.concatenate(starts))

    @property
    def size(self) -> int:
        """Bytes of all texts together."""
        return int(self.starts[-1] - self.starts[0])

    @property
    def longest(self) -> int:
        """Bytes of the longest text."""
        return int(np.diff(self.starts).max(initial=0))

    def text(self, i: int) -> str:
        return self.data[self.starts[i] : self.starts[i + 1]].tobytes().decode()

    def tolist(self) -> list[str]:
        data = self.data.tobytes()
        bounds = pairwise(self.starts.tolist())
        return [data[start:end].decode() for start, end in bounds]

    def between(self, first: int, end: int) -> Texts:
        """Texts `first` … `end - 1`, sharing memory."""
        return Texts(self.data, self.starts[first : end + 1])

    def taken(self, rows: Int64s) -> Texts:
        """The texts of some rows, in the order of `rows`."""
        begins = self.starts[rows]
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(self.starts[rows + 1] - begins, out=starts[1:])
        return Texts.cut(self.data, begins, starts)

    def frozen(self) -> Texts:
        return Texts(read_only(self.data), read_only(self.starts))


_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def read_only(array: _Array) -> _Array:
    """A contiguous view that cannot be written to: kernels are compiled for one kind of array."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return cast(_Array, view)


@kernel
def copy_runs(source: Bytes, begins: Int64s, target: Bytes, starts: Int64s) -> None:
    """Fill run `i` of the target, from `starts[i]` to `starts[i + 1]`, with bytes of the source.

    Unsigned places tell the compiler that no index counts from the end, so it copies in bulk.
    """
    for i in range(begins.size):
        begin = np.uint64(begins[i])
        place = np.uint64(starts[i])
        for step in range(starts[i + 1] - starts[i]):
            target[place + np.uint64(step)] = source[begin + np.uint64(step)]
