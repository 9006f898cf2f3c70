"""What a user's series hold, and what the conditions make of it.

A series is the user's events that satisfy one filter of one event model; the conditions that count
them differ in windows and bounds only.  A comparison of a count needs only the newest events:
`count >= k` is true exactly until the k-th newest has aged out of the window, whatever happened
before it.  So a series keeps its newest events in one ring for all its conditions, sorted by
(timestamp, id).  Late events, duplicates and ties need nothing else: an event is inserted where it
belongs, recognised where it already is, or dropped when it is older than all that matter.

Events are named by their rank: the newest has rank 1.  The event of rank r matters for as long as
it is in the window of a condition that looks so far back; the longest of these windows is
`PlanArrays.reach`.

The k-th newest plus the window *is* the timer.  A series' `due` is the earliest of its conditions',
and at the latest the instant at which the ring is empty and its cells are given back.
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
from engine.state import ENTRIES_BOOK, NEVER, SERIES_BOOK, State

# The rank of an event that is not in the ring or not of it: behind all others.
NOWHERE = 1 << 40


# --- conditions -------------------------------------------------------------------------------


@kernel
def holds(state: State, user: int, condition: int) -> bool:
    """Whether the condition was true when it was last looked at."""
    return bool((int(state.truths[user, condition >> 6]) >> (condition & 63)) & 1)


@kernel
def flip(state: State, user: int, condition: int) -> None:
    state.truths[user, condition >> 6] ^= np.int64(1) << np.int64(condition & 63)


@kernel
def judge(
    plan: PlanArrays, state: State, cell: int, condition: int, instant: int, without: int
) -> tuple[bool, int]:
    """Whether a condition of the series is true at an instant, and until when.

    Args:
        without: The rank of an event to be left out, or NOWHERE.
    """
    conditions = plan.conditions
    window = int(conditions.window[condition])
    minimum = int(conditions.minimum[condition])
    beyond = int(conditions.maximum[condition]) + 1
    count = int(state.series.count[cell])
    truth = minimum == 0
    until = NEVER
    rank = minimum + int(minimum >= without)
    if minimum > 0 and rank <= count:
        leaves = timestamp_of(state, cell, rank) + window
        if leaves > instant:
            truth = True
            until = leaves
    rank = beyond + int(beyond >= without)
    if rank <= count:
        leaves = timestamp_of(state, cell, rank) + window
        if leaves > instant:
            truth = False
            until = leaves
    return truth, until


@kernel
def empty_at(plan: PlanArrays, state: State, cell: int) -> int:
    """When nothing of the series matters any more; it is not empty now."""
    number = int(state.series.number[cell])
    return timestamp_of(state, cell, 1) + int(plan.series.window[number])


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


# --- the events of a series -------------------------------------------------------------------


@kernel
def age(plan: PlanArrays, state: State, cell: int, clock: int) -> None:
    """Drop the events that do not matter any more."""
    series = state.series
    mask = (1 << int(series.size_class[cell])) - 1
    block = int(series.block[cell])
    first = int(series.first[cell])
    count = int(series.count[cell])
    reach = int(plan.series.reach[int(series.number[cell])]) - 1
    while (
        count > 0
        and state.entries.timestamp[block + (first & mask)] + plan.reach[reach + count] <= clock
    ):
        first += 1
        count -= 1
    series.first[cell] = first & mask
    series.count[cell] = count


@kernel
def insert(state: State, cell: int, capacity: int, timestamp: int, event_id: int) -> int:
    """Put an event into a series; return its rank, or NOWHERE if it is there already.

    An event that is older than all that matter has a rank beyond `capacity` and is not kept.
    """
    series = state.series
    count = int(series.count[cell])
    position = _position_of(state, cell, timestamp, event_id)
    if position > 0 and _is_at(state, cell, position - 1, timestamp, event_id):
        return NOWHERE
    rank = count - position + 1
    if count == capacity:
        if position == 0:
            return rank
        series.first[cell] += 1
        count -= 1
        position -= 1
    elif count == 1 << int(series.size_class[cell]):
        _enlarge(state, cell)
    entries = state.entries
    mask = (1 << int(series.size_class[cell])) - 1
    block = int(series.block[cell])
    first = int(series.first[cell]) & mask
    series.first[cell] = first
    for later in range(count, position, -1):
        entries[block + ((first + later) & mask)] = entries[block + ((first + later - 1) & mask)]
    place = block + ((first + position) & mask)
    entries.timestamp[place] = timestamp
    entries.id[place] = event_id
    series.count[cell] = count + 1
    return rank


@kernel
def contains(state: State, cell: int, timestamp: int, event_id: int) -> bool:
    position = _position_of(state, cell, timestamp, event_id)
    return position > 0 and _is_at(state, cell, position - 1, timestamp, event_id)


@kernel
def cells_to_enlarge(state: State, cell: int, capacity: int) -> int:
    """Cells of `State.entries` that inserting one event into this series could take."""
    size = 1 << int(state.series.size_class[cell])
    if state.series.count[cell] == size and size < capacity:
        return 2 * size
    return 0


@kernel
def timestamp_of(state: State, cell: int, rank: int) -> int:
    series = state.series
    mask = (1 << int(series.size_class[cell])) - 1
    place = (int(series.first[cell]) + int(series.count[cell]) - rank) & mask
    return int(state.entries.timestamp[int(series.block[cell]) + place])


@kernel
def _position_of(state: State, cell: int, timestamp: int, event_id: int) -> int:
    """How many events of the ring are not after (timestamp, id)."""
    series = state.series
    entries = state.entries
    mask = (1 << int(series.size_class[cell])) - 1
    block = int(series.block[cell])
    first = int(series.first[cell])
    low = 0
    high = int(series.count[cell])
    # Most events are the newest of their series: ask the last entry first.
    middle = high - 1
    while low < high:
        place = block + ((first + middle) & mask)
        other = entries.timestamp[place]
        if other < timestamp or (other == timestamp and entries.id[place] <= event_id):
            low = middle + 1
        else:
            high = middle
        middle = (low + high) >> 1
    return low


@kernel
def _is_at(state: State, cell: int, position: int, timestamp: int, event_id: int) -> bool:
    series = state.series
    mask = (1 << int(series.size_class[cell])) - 1
    place = int(series.block[cell]) + ((int(series.first[cell]) + position) & mask)
    return bool(state.entries.timestamp[place] == timestamp and state.entries.id[place] == event_id)


@kernel
def _enlarge(state: State, cell: int) -> None:
    series = state.series
    entries = state.entries
    size_class = int(series.size_class[cell])
    mask = (1 << size_class) - 1
    block = int(series.block[cell])
    first = int(series.first[cell])
    larger = take_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class + 1)
    for position in range(1 << size_class):
        entries[larger + position] = entries[block + ((first + position) & mask)]
    give_back_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class, block)
    series.block[cell] = larger
    series.first[cell] = 0
    series.size_class[cell] = size_class + 1
