"""The place of the lowest bit of a word: one machine instruction, for which Python has no word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from engine.compiled import INTERPRETED


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
