"""Columns of ids: texts that identify a user or a message."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from connectors.sources.tokens import MISSING, NUMBER, TEXT, Tokens
from engine.compiled import kernel
from engine.plan import Booleans
from engine.texts import Texts, copy_runs


def read_ids(tokens: Tokens) -> tuple[Texts, Booleans]:
    """Ids as texts without spaces around them, and which of the values are ids at all.

    A text that is not blank is an id, and so is an integer; where a value is none, the text is
    empty.
    """
    starts = np.zeros(tokens.size + 1, dtype=np.int64)
    if not measure(*tokens, starts):
        unusual = [_id(tokens.value(i)) for i in range(tokens.size)]
        texts = Texts.of(unusual)
        return texts, np.diff(texts.starts) > 0
    data = np.empty(starts[-1], dtype=np.uint8)
    copy_runs(tokens.data, tokens.begins, np.arange(tokens.size), data, starts)
    return Texts(data, starts), np.diff(starts) > 0


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
def measure(data, kinds, begins, ends, starts):  # type: ignore[no-untyped-def]
    """Sum up the sizes of the ids; return whether all are plain.

    A plain text begins and ends with a visible ASCII character: there is nothing to trim.
    """
    for i in range(kinds.size):
        begin, end = begins[i], ends[i]
        size = 0
        if kinds[i] == TEXT:
            if begin < end:
                if not (32 < data[begin] < 127 and 32 < data[end - 1] < 127):
                    return False
                size = end - begin
        elif kinds[i] == NUMBER:
            for place in range(begin, end):
                if not 48 <= data[place] <= 57:
                    return False
            size = end - begin
        elif kinds[i] != MISSING:
            return False
        starts[i + 1] = starts[i] + size
    return True
