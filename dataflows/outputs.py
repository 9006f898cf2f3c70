"""Where a backtest's transitions are written: JSON lines or Parquet.

The file appears under its name only when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from engine.records import TransitionRecord

SUFFIXES = (".jsonl", ".parquet")


class Output(Protocol):
    def write(self, records: Sequence[TransitionRecord]) -> None: ...


@contextmanager
def open_output(path: Path) -> Iterator[Output]:
    """An output of the kind that the file's name asks for.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("wb") as file:
            output = _Parquet(file) if path.suffix == ".parquet" else _JsonLines(file)
            try:
                yield output
            finally:
                output.close()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


class _JsonLines:
    def __init__(self, file: object) -> None:
        self._file = file
        self._encoder = msgspec.json.Encoder()

    def write(self, records: Sequence[TransitionRecord]) -> None:
        self._file.write(self._encoder.encode_lines(records))  # type: ignore[attr-defined]

    def close(self) -> None:
        """Nothing is held back."""


_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("type", pa.string()),
        ("audience", pa.string()),
        ("audience_version", pa.string()),
        ("parent_model", pa.string()),
        ("user_id", pa.string()),
        ("effective_at", pa.timestamp("us", tz="UTC")),
        ("sequence", pa.int32()),
        (
            "cause",
            pa.struct(
                [
                    ("kind", pa.string()),
                    ("message_id", pa.string()),
                    ("condition", pa.string()),
                    ("pull", pa.string()),
                ]
            ),
        ),
    ]
)


class _Parquet:
    def __init__(self, file: object) -> None:
        self._writer = pq.ParquetWriter(file, _SCHEMA, compression="zstd")

    def write(self, records: Sequence[TransitionRecord]) -> None:
        columns = {}
        for field in _SCHEMA:
            values = pa.array([getattr(record, field.name) for record in records], _read_as(field))
            columns[field.name] = values.cast(field.type)
        self._writer.write_table(pa.table(columns, schema=_SCHEMA))

    def close(self) -> None:
        self._writer.close()


def _read_as(field: pa.Field) -> pa.DataType:
    return pa.string() if field.name == "effective_at" else field.type
