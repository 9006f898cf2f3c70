"""Recorded events, put in the order in which they arrived.

Files are read one after the other, but a backtest evaluates events by arrival.  So all events are
kept until the last has been read: in memory as long as they are few, else in a temporary database
that sorts on disk.  Nothing is a Python object, and what is kept once is enough: an event costs
less than a hundred bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import duckdb
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from connectors.arrow import from_arrow, to_arrow
from engine.hashing import groups_of
from engine.inputs import Inputs
from engine.plan import Booleans, Int8s, Int32s, Int64s, Lists
from engine.texts import Texts

MEMORY = 256_000_000
_STRETCH = 32_000_000  # bytes that are handed to the database at once
_RESERVED = 1 << 25  # bytes a column, of which the system gives only those that are used


class _Rows(NamedTuple):
    """Events of all parent models, one column a field."""

    parents: Int8s
    arrivals: Int64s | None  # none where they are the timestamps
    users: Texts
    user_hashes: Int64s
    timestamps: Int64s
    message_ids: Texts
    message_hashes: Int64s
    sets: Int32s
    tallied: Booleans

    @property
    def arrived(self) -> Int64s:
        return self.timestamps if self.arrivals is None else self.arrivals

    def take(self, rows: Int64s) -> _Rows:
        columns: list[Any] = [
            one if one is None else one.taken(rows) if isinstance(one, Texts) else one[rows]
            for one in self
        ]
        return _Rows(*columns)


class _Column:
    """An array that grows at its end, where it lies: a large one is not copied."""

    def __init__(self, layout: np.dtype[Any]) -> None:
        self._array = np.empty(_RESERVED // layout.itemsize, dtype=layout)
        self.length = 0

    def add(self, part: Any) -> None:
        first, end = self.length, self.length + part.size
        if end > self._array.size:
            self._array.resize(end + end // 4, refcheck=False)
        self._array[first:end] = part
        self.length = end

    @property
    def array(self) -> Any:
        """What has been added; nothing may be added afterwards."""
        return self._array[: self.length]

    @property
    def size(self) -> int:
        return self.length * self._array.itemsize


class _NoColumn:
    """The same for what is not kept."""

    size = 0
    array = None

    def add(self, part: None) -> None:
        """There is nothing to keep."""


class _TextColumn:
    """The same for texts."""

    def __init__(self) -> None:
        self._data = _Column(np.dtype(np.uint8))
        self._starts = _Column(np.dtype(np.int64))
        self._starts.add(np.zeros(1, dtype=np.int64))

    def add(self, texts: Texts) -> None:
        first, end = int(texts.starts[0]), int(texts.starts[-1])
        self._starts.add(texts.starts[1:] + (self._data.length - first))
        self._data.add(texts.data[first:end])

    @property
    def array(self) -> Texts:
        return Texts(self._data.array, self._starts.array)

    @property
    def size(self) -> int:
        return self._data.size + self._starts.size


class _Held:
    """Rows that have come one after the other."""

    def __init__(self) -> None:
        self._columns: list[_Column | _TextColumn | _NoColumn] = []

    def add(self, rows: _Rows) -> None:
        if not self._columns:
            self._columns = [_column_for(one) for one in rows]
        parts: tuple[Any, ...] = rows
        for column, part in zip(self._columns, parts, strict=True):
            column.add(part)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return sum(column.size for column in self._columns)

    def rows(self) -> _Rows:
        """All rows, which are given up."""
        columns, self._columns = self._columns, []
        whole: list[Any] = [column.array for column in columns]
        return _Rows(*whole)


def _column_for(part: Any) -> _Column | _TextColumn | _NoColumn:
    if part is None:
        return _NoColumn()
    return _TextColumn() if isinstance(part, Texts) else _Column(part.dtype)


class Ordering:
    """Collects inputs and gives them back by arrival; those of one instant as they were added.

    Beyond `memory` bytes it keeps them in a temporary file in `folder` (by default the system's),
    which is gone after `close`, or at the end of a `with` statement.
    """

    def __init__(self, memory: int = MEMORY, folder: Path | None = None) -> None:
        self._memory = memory
        self._folder = folder
        self._parents: list[str] = []
        self._numbers: dict[tuple[int, ...], int] = {}
        self._last_sets: dict[str, tuple[Lists, Int32s]] = {}
        self._held = _Held()
        self._spilled: _Spilled | None = None
        self.count = 0

    def add(self, inputs: Mapping[str, Inputs]) -> None:
        """Take over the inputs of a batch; either all events arrive when they happen, or none."""
        for parent, one in inputs.items():
            if parent not in self._parents:
                self._parents.append(parent)
            rows = _Rows(
                parents=np.full(one.size, self._parents.index(parent), dtype=np.int8),
                arrivals=None if one.arrivals is one.timestamps else one.arrivals,
                users=one.users,
                user_hashes=one.user_hashes,
                timestamps=one.timestamps,
                message_ids=one.message_ids,
                message_hashes=one.message_hashes,
                sets=self._renumbered(parent, one.sets)[one.condition_sets],
                tallied=one.tallied,
            )
            self._held.add(rows)
            self.count += one.size
        if self._held.size > (_STRETCH if self._spilled else self._memory):
            self._spill()

    def blocks(self, rows: int) -> Iterator[tuple[dict[str, Inputs], int]]:
        """All inputs in order, at most `rows` at a time, and the last arrival among them.

        What is handed over at once is arranged by key group, and in order of arrival within each.
        """
        sets = Lists.of(self._numbers)
        if self.count == 0:
            return
        if self._spilled and self._held.size:
            self._spill()
        ordered = self._spilled.blocks(rows) if self._spilled else _sorted(self._held.rows(), rows)
        for block in ordered:
            if len(self._parents) == 1:
                inputs = {self._parents[0]: _inputs(block, sets)}
            else:
                inputs = {
                    parent: _inputs(block.take(found), sets)
                    for number, parent in enumerate(self._parents)
                    if len(found := np.flatnonzero(block.parents == number))
                }
            yield inputs, int(block.arrived.max())

    def close(self) -> None:
        """Forget everything."""
        self._held = _Held()
        if self._spilled:
            self._spilled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _renumbered(self, parent: str, sets: Lists) -> Int32s:
        """The numbers that the sets of one batch have here; other readers count otherwise."""
        last, numbers_here = self._last_sets.get(parent, (None, None))
        if numbers_here is not None and last is sets:
            return numbers_here
        items, starts = sets.items.tolist(), sets.starts.tolist()
        conditions = [tuple(items[start:end]) for start, end in pairwise(starts)]
        numbers = [self._numbers.setdefault(one, len(self._numbers)) for one in conditions]
        numbers_here = np.array(numbers, dtype=np.int32)
        self._last_sets[parent] = sets, numbers_here
        return numbers_here

    def _spill(self) -> None:
        if self._spilled is None:
            self._spilled = _Spilled(self._folder)
        self._spilled.add(self._held.rows())


def _sorted(rows: _Rows, count: int) -> Iterator[_Rows]:
    order = np.argsort(rows.arrived, kind="stable")
    for start in range(0, len(order), count):
        yield rows.take(_by_group(rows.user_hashes, order[start : start + count]))


def _by_group(user_hashes: Int64s, rows: Int64s) -> Int64s:
    """The given rows with those of a key group next to each other, else in their order."""
    groups = groups_of(user_hashes[rows]).astype(np.uint8)  # which are sorted in linear time
    return rows[np.argsort(groups, kind="stable")]


def _inputs(rows: _Rows, sets: Lists) -> Inputs:
    return Inputs(
        users=rows.users,
        user_hashes=rows.user_hashes,
        timestamps=rows.timestamps,
        arrivals=rows.arrived,
        message_ids=rows.message_ids,
        message_hashes=rows.message_hashes,
        condition_sets=rows.sets,
        sets=sets,
        tallied=rows.tallied,
    )


class _Spilled:
    """The same in a temporary database."""

    def __init__(self, folder: Path | None) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="usher-ordering-", dir=folder)
        self._database = duckdb.connect(":memory:")
        self._database.execute("SET memory_limit = '256MB'; SET preserve_insertion_order = false")
        self._database.execute("SET temp_directory = ?", [f"{self._files.name}/sorting"])
        self._database.execute(
            """
            CREATE TABLE events (
                ordinal BIGINT, parent TINYINT, arrival BIGINT,
                user_id BLOB, user_hash BIGINT, "timestamp" BIGINT,
                message_id BLOB, message_hash BIGINT, conditions INTEGER, tallied BOOLEAN
            )
            """
        )
        self._count = 0

    def add(self, rows: _Rows) -> None:
        count = len(rows.timestamps)
        columns = {
            "ordinal": np.arange(self._count, self._count + count),
            "parent": rows.parents,
            "arrival": rows.arrived,
            "user_id": to_arrow(rows.users, pa.large_binary()),
            "user_hash": rows.user_hashes,
            "timestamp": rows.timestamps,
            "message_id": to_arrow(rows.message_ids, pa.large_binary()),
            "message_hash": rows.message_hashes,
            "conditions": rows.sets,
            "tallied": rows.tallied,
        }
        self._database.register("added", pa.table(columns))
        self._database.execute("INSERT INTO events SELECT * FROM added")
        self._database.unregister("added")
        self._count += count

    def blocks(self, count: int) -> Iterator[_Rows]:
        ordered = self._database.sql(
            """
            SELECT * EXCLUDE (ordinal) FROM events ORDER BY arrival, ordinal
            """
        )
        for batch in ordered.to_arrow_reader(count):
            rows = _Rows(*map(_column, batch.columns))
            yield rows.take(_by_group(rows.user_hashes, np.arange(batch.num_rows)))

    def close(self) -> None:
        self._database.close()
        self._files.cleanup()


def _column(array: pa.Array) -> Any:
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return from_arrow(array.cast(pa.large_binary()))
    return array.to_numpy(zero_copy_only=False)
