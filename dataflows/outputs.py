"""Where a backtest's transitions are written: JSON lines or Parquet.

The file appears under its name only when it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from connectors.arrow import to_arrow
from engine.plan import Plan
from engine.records import ENTERED, EXITED, RecordWriter, kind_of
from engine.texts import Texts
from engine.transitions import EVENT_CAUSE, NO_CONDITION, Cause, Transitions

SUFFIXES = (".jsonl", ".parquet")


class Output(Protocol):
    def write(self, transitions: Transitions) -> None: ...


@contextmanager
def open_output(path: Path, plans: Sequence[Plan], pulls: Sequence[str] = ()) -> Iterator[Output]:
    """An output of the kind that the file's name asks for.

    Transitions number audiences and conditions as if those of the plans stood one after the other,
    and behind the conditions the `pulls` that are causes.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("wb") as file:
            kind = _Parquet if path.suffix == ".parquet" else _JsonLines
            output = kind(file, plans, pulls)
            try:
                yield output
            finally:
                output.close()
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


# Transitions that are written at once: their lines stay in the processor's cache.
_STRETCH = 4096


class _JsonLines:
    def __init__(self, file: BinaryIO, plans: Sequence[Plan], pulls: Sequence[str]) -> None:
        self._file = file
        self._records = RecordWriter(plans, pulls)

    def write(self, transitions: Transitions) -> None:
        count = len(transitions)
        for first in range(0, count, _STRETCH):
            some = transitions.between(first, min(first + _STRETCH, count))
            self._file.write(self._records.lines(some).data.data)

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
    def __init__(self, file: BinaryIO, plans: Sequence[Plan], pulls: Sequence[str]) -> None:
        self._writer = pq.ParquetWriter(file, _SCHEMA, compression="zstd")
        self._records = RecordWriter(plans, pulls)
        audiences = [(plan.parent_model, one) for plan in plans for one in plan.audiences]
        self._parents = pa.array([parent for parent, _ in audiences], pa.string())
        self._audiences = pa.array([one.key for _, one in audiences], pa.string())
        self._versions = pa.array([one.version for _, one in audiences], pa.string())
        conditions = [one.key for plan in plans for one in plan.conditions]
        nothing: list[None] = [None]
        self._conditions = pa.array([*conditions, *nothing * len(pulls)], pa.string())
        self._pulls = pa.array([*nothing * len(conditions), *pulls], pa.string())

    def write(self, transitions: Transitions) -> None:
        ids = self._records.ids(transitions)
        starts = np.arange(len(transitions) + 1) * ids.shape[1]
        columns = [
            to_arrow(Texts(ids.reshape(-1), starts)),
            _TYPES.take(transitions.sequences & 1),
            self._audiences.take(transitions.audiences),
            self._versions.take(transitions.audiences),
            self._parents.take(transitions.audiences),
            to_arrow(transitions.users),
            pa.array(transitions.effective_at),
            pa.array(transitions.sequences),
            self._causes(transitions),
        ]
        arrays = [one.cast(field.type) for one, field in zip(columns, _SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))

    def _causes(self, transitions: Transitions) -> Any:
        rows = np.arange(len(transitions))
        by_event = pa.array(rows, mask=transitions.causes != EVENT_CAUSE)
        numbered = pa.array(transitions.conditions, mask=transitions.conditions == NO_CONDITION)
        return pa.StructArray.from_arrays(
            [
                _KINDS.take(transitions.causes),
                to_arrow(transitions.message_ids).take(by_event).cast(pa.string()),
                self._conditions.take(numbered),
                self._pulls.take(numbered),
            ],
            fields=list(_SCHEMA.field("cause").type),
        )

    def close(self) -> None:
        self._writer.close()


_TYPES = pa.array([EXITED, ENTERED])
_KINDS = pa.array([kind_of(cause) for cause in Cause])
