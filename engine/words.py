"""How kernels look at bytes: one by one, as words, and at the bits of a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from engine.compiled import INTERPRETED, kernel


def _interpreted(word: np.uint32) -> int:
    return (int(word) & -int(word)).bit_length() - 1


def _compiled(_typing: Any, _word: Any) -> Any:
    def emit(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zero_is_undefined = context.get_constant(types.boolean, True)
        place = builder.cttz(arguments[0], zero_is_undefined)
        return builder.zext(place, context.get_value_type(types.int64))

    return types.int64(types.uint32), emit


# How many zeros end a word of 32 bits, which must not be 0; for kernels.
lowest_bit = cast(Callable[[np.uint32], int], _interpreted if INTERPRETED else intrinsic(_compiled))


@kernel
def at(array, place):  # type: ignore[no-untyped-def]
    """An element; an unsigned place tells the compiler that it does not count from the end."""
    return array[np.uint64(place)]


@kernel
def word_at(data, place, end):  # type: ignore[no-untyped-def]
    """Four bytes as one number; behind the end there are zeros."""
    if place + 4 <= end:
        low = np.int64(at(data, place)) | np.int64(at(data, place + 1)) << 8
        high = np.int64(at(data, place + 2)) | np.int64(at(data, place + 3)) << 8
        return int(low | high << 16)
    word = np.int64(0)
    for rest in range(end - place):
        word |= np.int64(at(data, place + rest)) << (8 * rest)
    return int(word)
