"""Columns of ids: texts that identify a user or a message."""

from __future__ import annotations

import numpy as np

from connectors.sources.tokens import MISSING, NUMBER, TEXT, Tokens
from engine.compiled import kernel
from engine.plan import Booleans
from engine.texts import Texts


def read_ids(tokens: Tokens) -> tuple[Texts, Booleans]:
    """Ids as texts without spaces around them, and which of the values are ids at all.

    A text that is not blank is an id, and so is an integer; where a value is none, the text is
    empty.
    """
    starts = np.zeros(tokens.size + 1, dtype=np.int64)
    if not measure(*tokens, starts):
        unusual = [read_id(tokens.value(i)) for i in range(tokens.size)]
        texts = Texts.of(unusual)
        return texts, np.diff(texts.starts) > 0
    return Texts.cut(tokens.data, tokens.begins, starts), np.diff(starts) > 0


def read_id(value: object) -> str:
    """One of them; empty if the value is none."""
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
