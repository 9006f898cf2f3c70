"""Parquet files as rows of the values that JSON would have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import BinaryIO

import pyarrow  # type: ignore[import-untyped]
from pyarrow import parquet

from connectors.sources.chunks import Chunk

_ROWS = 4096


def read_parquet(name: str, number: int, raw: BinaryIO, size: int) -> Iterator[Chunk]:
    """The rows of a file, some thousands a chunk.

    Raises:
        pyarrow.ArrowException: the file is damaged.
        OSError: it cannot be read.
    """
    with parquet.ParquetFile(raw) as file:
        total = max(file.metadata.num_rows, 1)
        line = 1
        for batch in file.iter_batches(batch_size=_ROWS):
            columns = [_plain_column(column) for column in batch.columns]
            rows = [
                dict(zip(batch.schema.names, values, strict=True))
                for values in zip(*columns, strict=True)
            ]
            done = size * (line - 1 + len(rows)) // total - size * (line - 1) // total
            yield Chunk(name, number, line, rows=rows, size=done)
            line += len(rows)


def _plain_column(column: pyarrow.Array) -> list[object]:
    if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pyarrow.timestamp("us", column.type.tz), safe=False)
    return [_plain(value) for value in column.to_pylist()]


def _plain(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case float() if not math.isfinite(value):
            return None
        case bytes():
            return value.decode("utf-8", "replace")
        case dict():
            return {str(key): _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
