"""Ranges of counts."""

from __future__ import annotations

from collections.abc import Sequence

from audience_dsl.diagnostics import Span
from audience_dsl.reading import Reader


def in_order(pair: Sequence[int | None], span: Span, reader: Reader) -> tuple[int, int] | None:
    """The two ends of a `between`; `None` if one could not be read, or no count lies there."""
    low, high = pair
    if low is None or high is None:
        return None
    if low > high:
        message = f"no count lies between {low} and {high}"
        reader.fail(span, "out-of-range", message, f"write between: [{high}, {low}]")
        return None
    return low, high
