"""Columns of JSON values as they stand in the bytes of a chunk, not yet turned into objects.

To make a Python object of each value costs more than all that is then done with it: ids are
copied, instants are parsed and filters are looked up straight from the bytes.  A value becomes an
object only where it is met for the first time, or is unusual.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from connectors.sources.exact import read_json
from engine.plan import Bytes, Int64s

Kinds: TypeAlias = npt.NDArray[np.uint8]

MISSING = 0  # nothing, or null
TEXT = 1  # the UTF-8 between the quotes, which is the text itself
ESCAPED = 2  # the same with escapes in it
NUMBER = 3
OTHER = 4  # true, false, an object or an array
KINDS = 5


class Tokens(NamedTuple):
    """A column of values: value `i` is written in `data[begins[i]:ends[i]]`."""

    data: Bytes
    kinds: Kinds
    begins: Int64s
    ends: Int64s

    @classmethod
    def of(cls, values: Iterable[object]) -> Tokens:
        """Write values that have been decoded already."""
        written = [written_value(value) for value in values]
        ends = np.cumsum([len(text) for _, text in written], dtype=np.int64)
        return cls(
            np.frombuffer(bytearray(b"".join(text for _, text in written)), dtype=np.uint8),
            np.array([kind for kind, _ in written], dtype=np.uint8),
            np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1]])[: len(ends)],
            ends,
        )

    @property
    def size(self) -> int:
        return len(self.kinds)

    def taken(self, rows: Int64s) -> Tokens:
        """The values of some rows, which ascend."""
        if len(rows) == self.size:
            return self
        return Tokens(self.data, self.kinds[rows], self.begins[rows], self.ends[rows])

    def raw(self, i: int) -> bytes:
        return self.data[self.begins[i] : self.ends[i]].tobytes()

    def value(self, i: int) -> object:
        """What is written there, as an object; `None` where nothing is."""
        match self.kinds[i]:
            case 0:
                return None
            case 1:
                return self.raw(i).decode()
            case 2:
                return read_json(b'"' + self.raw(i) + b'"')
            case _:
                return read_json(self.raw(i))


def written_value(value: object) -> tuple[int, bytes]:
    """The kind of a value, and how JSON writes it."""
    if value is None:
        return MISSING, b""
    text = json.dumps(value, ensure_ascii=False).encode()
    if isinstance(value, str):
        return ESCAPED if b"\\" in text else TEXT, text[1:-1]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return NUMBER if is_number else OTHER, text
