"""Making room: larger copies of the arrays that a kernel found too small."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from engine.plan import Int32s
from engine.pools import NONE
from engine.state import (
    MORE_AHEAD,
    MORE_ENTRIES,
    MORE_IDS,
    MORE_MEMBERS,
    MORE_RELEASED,
    MORE_TIMERS,
    MORE_USERS,
    MORE_WINDOWS,
    USERS_LIVE,
    USERS_TOP,
    Ahead,
    Entries,
    Members,
    State,
    Timers,
    Users,
    Windows,
)
from engine.users import enter_all_in_table

_SMALLEST = 16

_Group = TypeVar("_Group", Users, Windows, Entries, Members, Timers, Ahead)
_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def enlarged_state(state: State, need: int) -> State:
    """The same state with more room in one place, at least half as much again as there was.

    Args:
        need: One of `MORE_…` of `engine.state`; a kernel that needs more yet asks again.
    """
    users = state.users
    match need:
        case _ if need == MORE_USERS:
            return state._replace(users=_more_users(state))
        case _ if need == MORE_IDS:
            return state._replace(users=users._replace(ids=enlarged(users.ids)))
        case _ if need == MORE_RELEASED:
            return state._replace(users=users._replace(released=enlarged(users.released)))
        case _ if need == MORE_WINDOWS:
            return state._replace(windows=_enlarged_cells(state.windows))
        case _ if need == MORE_ENTRIES:
            return state._replace(entries=_enlarged_cells(state.entries))
        case _ if need == MORE_MEMBERS:
            return state._replace(members=_enlarged_cells(state.members))
        case _ if need == MORE_TIMERS:
            return state._replace(timers=_enlarged_cells(state.timers))
        case _ if need == MORE_AHEAD:
            return state._replace(ahead=_enlarged_cells(state.ahead))
    raise AssertionError(f"unknown need {need}")


def enlarged(array: _Array) -> _Array:
    """A copy with half as many cells again, their content undefined."""
    cells = max(_SMALLEST, array.shape[0] + array.shape[0] // 2)
    larger = np.empty((cells, *array.shape[1:]), dtype=array.dtype)
    larger[: array.shape[0]] = array
    return cast(_Array, larger)


def new_table(users: int) -> Int32s:
    """An empty table for that many users, at most half full."""
    return np.full(1 << max(2, (2 * users).bit_length()), NONE, dtype=np.int32)


def _more_users(state: State) -> Users:
    users = state.users
    live = int(state.numbers[USERS_LIVE])
    top = int(state.numbers[USERS_TOP])
    if top >= users.hash.size:
        users = _enlarged_cells(users, leave=("table", "ids", "released"))
    if 2 * (live + 1) > users.table.size:
        users = users._replace(table=new_table(live + 1))
        enter_all_in_table(users, top)
    return users


def _enlarged_cells(group: _Group, leave: tuple[str, ...] = ("book",)) -> _Group:
    return group._replace(
        **{name: enlarged(cells) for name, cells in group._asdict().items() if name not in leave}
    )
