"""What a user's series hold, and what the conditions make of it.

A series is the user's events that satisfy one filter of one event model; the conditions that count
them differ in windows and bounds only.  A comparison of a count needs only the newest events:
`count >= k` is true exactly until the k-th newest has aged out of the window, whatever happened
before it.  So one ring of the newest events serves all conditions of the series (`engine.rings`).
The event of rank r matters for as long as it is in the window of a condition that looks so far
back; the longest of these windows is `PlanArrays.reach`.

The k-th newest plus the window *is* the timer.  A series' `due` is the earliest of its conditions',
and at the latest the instant at which the ring is empty and its cells are given back.  What a
condition said when it was last looked at is one bit of the user, so a change is noticed, and an
audience is decided, without a look at the events.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import kernel
from engine.plan import PlanArrays
from engine.pools import (
    NONE,
    first_not_below,
    give_back_block,
    make_place,
    size_class_of,
    take_block,
)
from engine.rings import Ring, ring_of, timestamp_of
from engine.state import ENTRIES_BOOK, NEVER, SERIES_BOOK, State

# --- what is true and until when --------------------------------------------------------------


@kernel
def holds(state: State, user: int, condition: int) -> bool:
    """Whether the condition was true when it was last looked at."""
    return bool((int(state.truths[user, condition >> 6]) >> (condition & 63)) & 1)


@kernel
def flip(state: State, user: int, condition: int) -> None:
    state.truths[user, condition >> 6] ^= np.int64(1) << np.int64(condition & 63)


@kernel
def judge(
    plan: PlanArrays, state: State, ring: Ring, position: int, instant: int, without: int
) -> tuple[bool, int]:
    """Whether the condition at `position` of the plan is true at an instant, and until when.

    Args:
        without: The rank of an event to be left out, or NOWHERE.
    """
    conditions = plan.conditions
    window = int(conditions.window[position])
    enough = int(conditions.enough[position])
    too_many = int(conditions.too_many[position])
    truth = enough == 0
    until = NEVER
    rank = enough + int(enough >= without)
    if enough > 0 and rank <= ring.size:
        leaves = timestamp_of(state, ring, rank) + window
        if leaves > instant:
            truth = True
            until = leaves
    rank = too_many + int(too_many >= without)
    if rank <= ring.size:
        leaves = timestamp_of(state, ring, rank) + window
        if leaves > instant:
            truth = False
            until = leaves
    return truth, until


@kernel
def empty_at(plan: PlanArrays, state: State, ring: Ring, number: int) -> int:
    """When nothing of the series will matter any more, if nothing is added."""
    if ring.size == 0:
        return NEVER
    return timestamp_of(state, ring, 1) + int(plan.series.window[number])


@kernel
def age(plan: PlanArrays, state: State, cell: int, clock: int) -> None:
    """Drop the events that do not matter any more."""
    series = state.series
    ring = ring_of(state, cell)
    count = ring.size
    reach = int(plan.series.reach[int(series.number[cell])]) - 1
    while count > 0 and timestamp_of(state, ring, count) + plan.reach[reach + count] <= clock:
        count -= 1
    series.first[cell] = (ring.end - count) & ring.mask
    series.count[cell] = count


# --- a user's series --------------------------------------------------------------------------


@kernel
def find_series(state: State, user: int, number: int, nearby: int) -> int:
    """The cell of the user's series, or -1 - p, where p is the cell at which it belongs.

    It is looked for from the `nearby`-th cell on.
    """
    start = int(state.users.series[user])
    end = start + int(state.users.series_count[user])
    keys = state.series.number
    low = start + nearby
    if low < end and keys[low] < number:
        low = first_not_below(keys, low + 1, end, number)
    if low < end and keys[low] == number:
        return low
    return -1 - low


@kernel
def add_series(state: State, user: int, number: int, cell: int) -> int:
    """Make room at `cell` for an empty series; return its cell, since the block may move."""
    users = state.users
    series = state.series
    start = int(users.series[user])
    count = int(users.series_count[user])
    size_class = int(users.series_class[user])
    position = cell - start
    start = make_place(
        state.books[SERIES_BOOK], series, series.due, start, count, size_class, position
    )
    users.series[user] = start
    users.series_count[user] = count + 1
    users.series_class[user] = max(size_class, size_class_of(count + 1))
    cell = start + position
    series.number[cell] = number
    series.count[cell] = 0
    series.first[cell] = 0
    series.size_class[cell] = 0
    series.block[cell] = take_block(state.books[ENTRIES_BOOK], state.entries.timestamp, 0)
    series.due[cell] = NEVER
    return cell


@kernel
def remove_series(state: State, user: int, cell: int) -> None:
    """Give back an empty series' cells."""
    users = state.users
    series = state.series
    give_back_block(
        state.books[ENTRIES_BOOK],
        state.entries.timestamp,
        int(series.size_class[cell]),
        int(series.block[cell]),
    )
    start = int(users.series[user])
    count = int(users.series_count[user]) - 1
    for place in range(cell, start + count):
        series[place] = series[place + 1]
    users.series_count[user] = count
    if count == 0:
        give_back_block(state.books[SERIES_BOOK], series.due, int(users.series_class[user]), start)
        users.series[user] = 0
        users.series_class[user] = NONE
