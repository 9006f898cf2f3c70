"""Columns of ids: texts that identify a user or a message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compiled import kernel
from engine.inputs import Texts
from engine.plan import Booleans, Int64s


def read_ids(values: Sequence[object]) -> tuple[Texts, Booleans]:
    """Ids as texts without spaces around them, and which of the values are ids at all.

    A text that is not blank is an id, and so is an integer; where a value is none, the text is
    empty.
    """
    try:
        texts = Texts.of(values)  # type: ignore[arg-type]
    except TypeError:
        values = [one if type(one) is str else _id(one) for one in values]
        texts = Texts.of(values)  # type: ignore[arg-type]
    plain = np.empty(len(values), dtype=np.bool_)
    find_plain(texts.data, texts.starts, plain)
    if plain.all():
        return texts, plain
    trimmed = list(values)
    for i in np.flatnonzero(~plain).tolist():
        trimmed[i] = _id(values[i])
        plain[i] = trimmed[i] != ""
    return Texts.of(trimmed), plain  # type: ignore[arg-type]


def take(texts: Texts, rows: Int64s) -> Texts:
    """The texts of some rows, in the order of `rows`."""
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(texts.starts[rows + 1] - texts.starts[rows], out=starts[1:])
    data = np.empty(starts[-1], dtype=np.uint8)
    copy_runs(texts.data, texts.starts, rows, data, starts)
    return Texts(data, starts)


def rebased(texts: Texts) -> Texts:
    """The same texts with only their own bytes, which begin at 0."""
    first, end = int(texts.starts[0]), int(texts.starts[-1])
    if first == 0 and end == len(texts.data):
        return texts
    return Texts(texts.data[first:end], texts.starts - first)


def join(columns: Sequence[Texts]) -> Texts:
    """One column after the other; each begins at 0."""
    sizes = [len(column.data) for column in columns]
    shifts = np.cumsum([0, *sizes])
    starts = [column.starts[:-1] + shift for column, shift in zip(columns, shifts, strict=False)]
    return Texts(
        np.concatenate([column.data for column in columns]), np.concatenate([*starts, shifts[-1:]])
    )


def _id(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return ""


@kernel
def find_plain(data, starts, plain):  # type: ignore[no-untyped-def]
    """Which texts begin and end with a visible ASCII character: there is nothing to trim."""
    for i in range(plain.size):
        start, end = starts[i], starts[i + 1]
        plain[i] = start < end and 32 < data[start] < 127 and 32 < data[end - 1] < 127


@kernel
def copy_runs(source, from_starts, rows, target, to_starts):  # type: ignore[no-untyped-def]
    for i in range(rows.size):
        position = from_starts[rows[i]]
        for j in range(to_starts[i], to_starts[i + 1]):
            target[j] = source[position]
            position += 1
