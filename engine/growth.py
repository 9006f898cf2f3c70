"""Making room: larger copies of the arrays that a kernel found too small."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.compiled import for_kernels
from engine.plan import Int32s
from engine.pools import NONE
from engine.state import (
    MORE_AHEAD,
    MORE_ENTRIES,
    MORE_IDS,
    MORE_MEMBERS,
    MORE_RELEASED,
    MORE_SERIES,
    MORE_TIMERS,
    MORE_USERS,
    USERS_LIVE,
    USERS_TOP,
    State,
)
from engine.users import enter_all_in_table

_SMALLEST = 64
_LARGE_BYTES = 1 << 20

_ARRAY_OF_NEED = {
    MORE_IDS: "ids",
    MORE_SERIES: "series",
    MORE_ENTRIES: "entries",
    MORE_MEMBERS: "members",
    MORE_TIMERS: "timers",
    MORE_AHEAD: "ahead",
    MORE_RELEASED: "released",
}


def enlarged_state(state: State, need: int) -> State:
    """The same state with more room in one place, half as much again or more.

    Args:
        need: One of `MORE_…` of `engine.state`; a kernel that needs more yet asks again.
    """
    if need == MORE_USERS:
        return _with_more_users(state)
    name = _ARRAY_OF_NEED[need]
    return state._replace(**{name: _enlarged(getattr(state, name))})


def new_table(users: int) -> Int32s:
    """An empty table for that many users, at most half full."""
    return np.full(1 << max(2, (2 * users).bit_length()), NONE, dtype=np.int32)


def _with_more_users(state: State) -> State:
    live = int(state.numbers[USERS_LIVE])
    top = int(state.numbers[USERS_TOP])
    if top >= state.users.size:
        state = state._replace(
            users=_enlarged(state.users),
            words=_enlarged(state.words),
            truths=_enlarged(state.truths),
        )
    if 2 * (live + 1) > state.table.size:
        state = state._replace(table=new_table(live + 1))
        enter_all_in_table(state.table, state.users, top)
    return state


def _enlarged(array: npt.NDArray[Any]) -> Any:
    """A longer copy, new cells undefined: twice as long while small, then by half as much."""
    cells = array.shape[0]
    more = cells if array.nbytes < _LARGE_BYTES else cells // 2
    larger = np.empty((cells + max(_SMALLEST, more), *array.shape[1:]), dtype=array.dtype)
    larger[:cells] = array
    return for_kernels(larger) if array.dtype.names else larger
