"""Columns of ids: texts that identify a user or a message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.compiled import kernel
from engine.inputs import Texts
from engine.plan import Booleans

_MARK = "\0"


def read_ids(values: Sequence[object]) -> tuple[Texts, Booleans]:
    """Ids as texts without spaces around them, and which of the values are ids at all.

    A text that is not blank is an id, and so is an integer; where a value is none, the text is
    empty.
    """
    try:
        texts = texts_of(values)  # type: ignore[arg-type]
    except TypeError:
        values = [one if type(one) is str else _id(one) for one in values]
        texts = texts_of(values)  # type: ignore[arg-type]
    plain = np.empty(len(values), dtype=np.bool_)
    find_plain(texts.data, texts.starts, plain)
    if plain.all():
        return texts, plain
    trimmed = list(values)
    for i in np.flatnonzero(~plain).tolist():
        trimmed[i] = _id(values[i])
        plain[i] = trimmed[i] != ""
    return Texts.of(trimmed), plain  # type: ignore[arg-type]


def texts_of(texts: Sequence[str]) -> Texts:
    """The same as `Texts.of`, faster: the texts are joined with a mark and cut apart natively.

    Raises:
        TypeError: one of them is no text.
    """
    data = np.frombuffer(_MARK.join(texts).encode(), dtype=np.uint8)
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    bare = np.empty(len(data), dtype=np.uint8)
    found = cut_apart(data, bare, starts)
    if found != max(len(texts) - 1, 0):  # a text has the mark in it
        return Texts.of(texts)
    return Texts(bare[: starts[-1]], starts)


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
def cut_apart(data, bare, starts):  # type: ignore[no-untyped-def]
    """Copy what lies between the marks, note where each text begins; return the number of marks."""
    marks = 0
    place = 0
    for i in range(data.size):
        if data[i] == 0:
            marks += 1
            if marks < starts.size - 1:
                starts[marks] = place
        else:
            bare[place] = data[i]
            place += 1
    starts[starts.size - 1] = place
    return marks
