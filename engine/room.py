"""Whether there is room for a step: kernels never allocate, and ask before they begin one.

Each question returns the number of the array that is too small (`MORE_…`), or `DONE`.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.inputs import Inputs
from engine.plan import PlanArrays
from engine.pools import NONE, TOP
from engine.rings import cells_to_enlarge
from engine.series import find_series
from engine.state import (
    AHEAD_BOOK,
    DONE,
    ENTRIES_BOOK,
    IDS_TOP,
    MEMBERS_BOOK,
    MORE_AHEAD,
    MORE_ENTRIES,
    MORE_IDS,
    MORE_MEMBERS,
    MORE_RELEASED,
    MORE_SERIES,
    MORE_TIMERS,
    MORE_TRANSITIONS,
    MORE_USERS,
    RELEASED,
    SERIES_BOOK,
    TIMERS,
    TRANSITIONS,
    USERS_FREE,
    USERS_LIVE,
    USERS_TOP,
    Records,
    State,
)


@kernel
def room_for_instant(plan: PlanArrays, state: State, emitted: Records, user: int) -> int:
    """Room to evaluate all audiences once, to renew a timer and to release the user."""
    audiences = plan.entry.size
    if state.numbers[TRANSITIONS] + audiences > emitted.size:
        return MORE_TRANSITIONS
    held = audiences
    if user != NONE:
        held += int(state.users.members_count[user])
        released = int(state.numbers[RELEASED]) + 4 + int(state.users.id_length[user])
        if released > state.released.size:
            return MORE_RELEASED
    if state.books[MEMBERS_BOOK, TOP] + 4 * held > state.members.size:
        return MORE_MEMBERS
    if state.numbers[TIMERS] + 2 > state.timers.size:
        return MORE_TIMERS
    return DONE


@kernel
def room_for_user(state: State, user: int, id_length: int) -> int:
    if user != NONE:
        return DONE
    numbers = state.numbers
    if numbers[USERS_FREE] == NONE and numbers[USERS_TOP] >= state.users.size:
        return MORE_USERS
    if 2 * (numbers[USERS_LIVE] + 1) > state.table.size:
        return MORE_USERS
    if numbers[IDS_TOP] + id_length > state.ids.size:
        return MORE_IDS
    return DONE


@kernel
def room_for_input(
    plan: PlanArrays, state: State, inputs: Inputs, row: int, user: int, id_length: int
) -> int:
    need = room_for_user(state, user, id_length)
    if need != DONE:
        return need
    conditions = int(inputs.condition_sets[row])
    first = int(inputs.sets.starts[conditions])
    last = int(inputs.sets.starts[conditions + 1])
    held = last - first
    if user != NONE:
        held += int(state.users.series_count[user])
    if state.books[SERIES_BOOK, TOP] + 4 * held > state.series.size:
        return MORE_SERIES
    if state.books[AHEAD_BOOK, TOP] + 1 > state.ahead.size:
        return MORE_AHEAD
    spare = state.entries.size - int(state.books[ENTRIES_BOOK, TOP])
    if spare < 2 * (last - first) * plan.largest_ring:
        needed = 0
        for position in range(first, last):
            number = int(plan.leads[int(inputs.sets.items[position])])
            if number == NONE:
                continue
            cell = NONE if user == NONE else find_series(state, user, number, 0)
            if cell < 0:
                needed += 1
            else:
                # One at least: by the input's instant the series may have been given back.
                more = cells_to_enlarge(state, cell, int(plan.series.capacity[number]))
                needed += max(1, more)
        if spare < needed:
            return MORE_ENTRIES
    return DONE
