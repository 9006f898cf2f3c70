"""Columns of texts as Arrow's, and back, without a copy of the texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from engine.texts import Texts


def to_arrow(texts: Texts, type_: Any = pa.large_string()) -> Any:  # noqa: B008  a constant
    """An array of `large_string`, or of `large_binary` where bytes are enough."""
    buffers = [None, pa.py_buffer(texts.starts), pa.py_buffer(texts.data)]
    return pa.Array.from_buffers(type_, len(texts.starts) - 1, buffers)


def from_arrow(array: Any) -> Texts:
    """The texts of a `large_string` or `large_binary` array without nulls."""
    _, starts, data = array.buffers()
    bounds = np.frombuffer(starts or bytes(8), dtype=np.int64)[array.offset :][: len(array) + 1]
    return Texts(np.frombuffer(data or b"", dtype=np.uint8), bounds)
