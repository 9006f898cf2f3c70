"""A key group's state as bytes: versioned, checksummed, verified when loaded.

    magic with format version · BLAKE2b of the rest · length of the header · header · columns

The header (MessagePack) says under which plan the state was written, what it is to be loaded on
top of, and the type and size of every column; the columns follow as they are in memory,
little-endian.  A complete dump stands alone, and says what its numbers mean.  A difference holds
the users who changed, and the ids of users who were forgotten, since the dump before it; it names
that dump's checksum, so that differences fit together in one way only.  If since then conditions
have come to know more of their past, it says again what the numbers mean.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.carrying import Meanings
from engine.columns import Columns
from engine.plan import Int64s
from engine.texts import Texts

Array = npt.NDArray[Any]

_MAGIC = b"USHERST3"
_DIGEST_BYTES = 16
_LENGTH_BYTES = 4


class DamagedState(Exception):
    """Bytes that are not a state as it was written: damaged, cut off, or of another format."""


class ForeignState(Exception):
    """The state of another parent model's users."""


class _Header(msgspec.Struct, frozen=True):
    meanings: Meanings | None  # in a complete dump, and where they are not those of before
    after: bytes  # checksum of the dump before; empty for a complete one
    columns: list[tuple[str, list[int]]]  # type and shape, in the order of `Columns`


def encode(meanings: Meanings | None, columns: Columns, after: bytes = b"") -> bytes:
    """Bytes of a complete dump, or of a difference to the dump whose checksum is `after`.

    The former has `meanings`, a difference only if they have changed: its plan is its dump's.
    """
    arrays = [np.ascontiguousarray(array) for array in _flattened(columns)]
    header = msgspec.msgpack.encode(
        _Header(meanings, after, [(array.dtype.str, list(array.shape)) for array in arrays])
    )
    content = b"".join(
        [
            len(header).to_bytes(_LENGTH_BYTES, "little"),
            header,
            *(array.tobytes() for array in arrays),
        ]
    )
    return _MAGIC + _digest(content) + content


def decode(dump: bytes, *changes: bytes) -> tuple[Meanings, Columns]:
    """The state after a complete dump and the differences that followed it.

    Raises:
        DamagedState: see there.
    """
    parts = []
    before = b""
    meanings = None
    for number, data in enumerate([dump, *changes]):
        header, columns = _decode_one(data)
        meanings = header.meanings or meanings
        if header.after != before or meanings is None:
            raise DamagedState(
                f"part {number} of the state does not belong after the one before it"
            )
        parts.append(columns)
        before = checksum(data)
    assert meanings is not None
    return meanings, _merged(parts) if changes else parts[0]


def checksum(data: bytes) -> bytes:
    """What names a dump, as it is written in the dump itself."""
    return data[len(_MAGIC) : len(_MAGIC) + _DIGEST_BYTES]


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _flattened(columns: Columns) -> list[Array]:
    arrays: list[Array] = []
    for column in columns:
        arrays.extend(column if isinstance(column, Texts) else [column])
    return arrays


def _decode_one(data: bytes) -> tuple[_Header, Columns]:
    begin = len(_MAGIC) + _DIGEST_BYTES
    if data[: len(_MAGIC)] != _MAGIC:
        raise DamagedState("these bytes are no state, or one of another format version")
    content = memoryview(data)[begin:]
    if checksum(data) != _digest(content):
        raise DamagedState("the state's checksum does not match its content")
    header_end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = msgspec.msgpack.decode(content[_LENGTH_BYTES:header_end], type=_Header)
    arrays: list[Array] = []
    place = header_end
    for code, shape in header.columns:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(content, dtype=code, count=count, offset=place).reshape(shape)
        arrays.append(array)
        place += array.nbytes
    rest = iter(arrays)
    fields = (
        Texts(next(rest), next(rest)) if name in ("ids", "released") else next(rest)
        for name in Columns._fields
    )
    return header, Columns(*fields)  # type: ignore[arg-type]


def _merged(parts: list[Columns]) -> Columns:
    """One state out of several: of each user the latest word, of the group the latest numbers."""
    last_word: dict[bytes, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for released in _each(part.released):
            last_word.pop(released, None)
        for row, user_id in enumerate(_each(part.ids)):
            last_word[user_id] = (number, row)
    kept: list[list[int]] = [[] for _ in parts]
    for number, row in last_word.values():
        kept[number].append(row)
    chosen = [
        _chosen(part, np.array(sorted(rows), dtype=np.int64))
        for part, rows in zip(parts, kept, strict=True)
    ]
    fields = []
    for name in Columns._fields:
        values = [getattr(part, name) for part in chosen]
        if name == "numbers":
            fields.append(values[-1])
        elif name == "ids":
            fields.append(_joined(values))
        elif name == "released":
            fields.append(Texts.of([]))
        else:
            fields.append(np.concatenate(values))
    return Columns(*fields)


def _each(texts: Texts) -> list[bytes]:
    raw = texts.data.tobytes()
    starts = texts.starts.tolist()
    return [raw[start:end] for start, end in pairwise(starts)]


def _joined(texts: list[Texts]) -> Texts:
    lengths = np.concatenate([np.diff(one.starts) for one in texts])
    starts = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=starts[1:])
    return Texts(np.concatenate([one.data for one in texts]), starts)


def _chosen(columns: Columns, rows: Array) -> Columns:
    """The given users' part of the columns."""
    series = _items(columns.series_counts, rows)
    members = _items(columns.member_counts, rows)
    ahead = _items(columns.ahead_counts, rows)
    entries = _items(columns.series_sizes, series)
    letters = _items(np.diff(columns.ids.starts), rows)
    starts = np.zeros(rows.size + 1, dtype=np.int64)
    np.cumsum(np.diff(columns.ids.starts)[rows], out=starts[1:])
    return Columns(
        numbers=columns.numbers,
        ids=Texts(columns.ids.data[letters], starts),
        marks=columns.marks[rows],
        clocks=columns.clocks[rows],
        words=columns.words[rows],
        series_counts=columns.series_counts[rows],
        series_numbers=columns.series_numbers[series],
        series_sizes=columns.series_sizes[series],
        entry_timestamps=columns.entry_timestamps[entries],
        entry_ids=columns.entry_ids[entries],
        member_counts=columns.member_counts[rows],
        member_audiences=columns.member_audiences[members],
        member_sequences=columns.member_sequences[members],
        ahead_counts=columns.ahead_counts[rows],
        ahead_recorded=columns.ahead_recorded[ahead],
        ahead_ids=columns.ahead_ids[ahead],
        ahead_timestamps=columns.ahead_timestamps[ahead],
        released=columns.released,
    )


def _items(counts: Array, rows: Array) -> Int64s:
    """Positions of the chosen rows' items in a column of concatenated items."""
    ends = np.cumsum(counts, dtype=np.int64)
    lengths = counts[rows].astype(np.int64)
    begins = ends[rows] - lengths
    chosen_ends = np.cumsum(lengths)
    total = int(chosen_ends[-1]) if rows.size else 0
    items: Int64s = np.arange(total) + np.repeat(begins - (chosen_ends - lengths), lengths)
    return items
