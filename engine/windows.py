"""What a user's trailing windows hold, and when time alone changes that.

A comparison of a count needs only the newest events of a window: `count >= k` stays true exactly
until the k-th newest has aged out, whatever happened before it.  So a window keeps its newest
`PlanArrays.capacity` events (the bound itself, and one more where there is an upper bound) in a
ring that is sorted by (timestamp, id).  Late events, duplicates and ties need nothing else: an
event is inserted where it belongs, recognised where it already is, or dropped when it is older
than all that matter.

The k-th newest plus the window *is* the timer, kept as the window's `due`.  Where ageing cannot
change the truth any more, `due` is the instant at which the window is empty and its cells are
given back.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.plan import PlanArrays
from engine.pools import NONE, give_back_block, take_block
from engine.state import ENTRIES_BOOK, NEVER, WINDOWS_BOOK, Records, State

# What became of an event in a window.
COUNTED = 0
DUPLICATED = 1


@kernel
def is_true(plan: PlanArrays, condition: int, count: int) -> bool:
    return bool(plan.conditions.minimum[condition] <= count <= plan.conditions.maximum[condition])


@kernel
def holds(plan: PlanArrays, state: State, user: int, condition: int) -> bool:
    """Whether the user's condition is true, all windows having been aged to the same instant."""
    cell = find_window(state, user, condition)
    count = int(state.windows.count[cell]) if cell >= 0 else 0
    return is_true(plan, condition, count)


@kernel
def find_window(state: State, user: int, condition: int) -> int:
    """The cell of the user's window, or -1 - p, where p is the cell at which it belongs."""
    return find_window_from(state, user, condition, 0)


@kernel
def find_window_from(state: State, user: int, condition: int, nearby: int) -> int:
    """The same, looked for from the `nearby`-th cell on, which most often is the one."""
    start = int(state.users.windows[user])
    end = start + int(state.users.windows_count[user])
    low = start + nearby
    if low < end and state.windows.condition[low] == condition:
        return low
    high = end
    while low < high:
        middle = (low + high) >> 1
        if state.windows.condition[middle] < condition:
            low = middle + 1
        else:
            high = middle
    if low < end and state.windows.condition[low] == condition:
        return low
    return -1 - low


@kernel
def add_window(state: State, user: int, condition: int, cell: int) -> int:
    """Make room at `cell` for an empty window; return its cell, since the block may move."""
    users = state.users
    windows = state.windows
    start = int(users.windows[user])
    count = int(users.windows_count[user])
    size_class = int(users.windows_class[user])
    position = cell - start if count > 0 else 0
    if size_class == NONE or count == 1 << size_class:
        larger = take_block(state.books[WINDOWS_BOOK], windows.due, size_class + 1)
        for offset in range(count):
            _copy_window(windows, start + offset, larger + offset)
        if size_class != NONE:
            give_back_block(state.books[WINDOWS_BOOK], windows.due, size_class, start)
        users.windows[user] = larger
        users.windows_class[user] = size_class + 1
        start = larger
    for offset in range(count, position, -1):
        _copy_window(windows, start + offset - 1, start + offset)
    users.windows_count[user] = count + 1
    cell = start + position
    windows.condition[cell] = condition
    windows.count[cell] = 0
    windows.first[cell] = 0
    windows.size_class[cell] = 0
    windows.block[cell] = take_block(state.books[ENTRIES_BOOK], state.entries.timestamp, 0)
    windows.due[cell] = NEVER
    return cell


@kernel
def remove_window(state: State, user: int, cell: int) -> None:
    """Give back an empty window's cells."""
    users = state.users
    windows = state.windows
    give_back_block(
        state.books[ENTRIES_BOOK],
        state.entries.timestamp,
        int(windows.size_class[cell]),
        int(windows.block[cell]),
    )
    start = int(users.windows[user])
    count = int(users.windows_count[user]) - 1
    for place in range(cell, start + count):
        _copy_window(windows, place + 1, place)
    users.windows_count[user] = count
    if count == 0:
        give_back_block(
            state.books[WINDOWS_BOOK], windows.due, int(users.windows_class[user]), start
        )
        users.windows_class[user] = NONE


@kernel
def _copy_window(windows: Records, source: int, target: int) -> None:
    windows[target] = windows[source]


@kernel
def age(state: State, cell: int, horizon: int) -> None:
    """Drop what happened at or before `horizon`, the clock less the window."""
    windows = state.windows
    mask = (1 << int(windows.size_class[cell])) - 1
    block = int(windows.block[cell])
    first = int(windows.first[cell])
    count = int(windows.count[cell])
    while count > 0 and state.entries.timestamp[block + (first & mask)] <= horizon:
        first += 1
        count -= 1
    windows.first[cell] = first & mask
    windows.count[cell] = count


@kernel
def set_due(plan: PlanArrays, state: State, cell: int) -> None:
    """Find the next instant at which ageing matters to this window, which is not empty."""
    windows = state.windows
    condition = int(windows.condition[cell])
    count = int(windows.count[cell])
    minimum = int(plan.conditions.minimum[condition])
    if count > plan.conditions.maximum[condition]:
        decisive = count - int(plan.conditions.maximum[condition]) - 1
    elif count >= minimum and minimum > 0:
        decisive = count - minimum
    else:
        decisive = count - 1
    windows.due[cell] = _timestamp_at(state, cell, decisive) + plan.conditions.window[condition]


@kernel
def _timestamp_at(state: State, cell: int, position: int) -> int:
    windows = state.windows
    mask = (1 << int(windows.size_class[cell])) - 1
    place = (int(windows.first[cell]) + position) & mask
    return int(state.entries.timestamp[int(windows.block[cell]) + place])


@kernel
def insert(state: State, cell: int, capacity: int, timestamp: int, event_id: int) -> int:
    """Put an event into a window; COUNTED also if it is older than all that matter."""
    windows = state.windows
    count = int(windows.count[cell])
    position = _position_of(state, cell, timestamp, event_id)
    if position > 0 and _is_at(state, cell, position - 1, timestamp, event_id):
        return DUPLICATED
    if count == capacity:
        if position == 0:
            return COUNTED
        windows.first[cell] += 1
        count -= 1
        position -= 1
    elif count == 1 << int(windows.size_class[cell]):
        _enlarge(state, cell)
    entries = state.entries
    mask = (1 << int(windows.size_class[cell])) - 1
    block = int(windows.block[cell])
    first = int(windows.first[cell]) & mask
    windows.first[cell] = first
    for later in range(count, position, -1):
        source = block + ((first + later - 1) & mask)
        target = block + ((first + later) & mask)
        entries.timestamp[target] = entries.timestamp[source]
        entries.id[target] = entries.id[source]
    place = block + ((first + position) & mask)
    entries.timestamp[place] = timestamp
    entries.id[place] = event_id
    windows.count[cell] = count + 1
    return COUNTED


@kernel
def contains(state: State, cell: int, timestamp: int, event_id: int) -> bool:
    position = _position_of(state, cell, timestamp, event_id)
    return position > 0 and _is_at(state, cell, position - 1, timestamp, event_id)


@kernel
def cells_to_enlarge(state: State, cell: int, capacity: int) -> int:
    """Cells of `State.entries` that inserting one event into this window could take."""
    size = 1 << int(state.windows.size_class[cell])
    if state.windows.count[cell] == size and size < capacity:
        return 2 * size
    return 0


@kernel
def _position_of(state: State, cell: int, timestamp: int, event_id: int) -> int:
    """How many events of the ring are not after (timestamp, id)."""
    windows = state.windows
    entries = state.entries
    mask = (1 << int(windows.size_class[cell])) - 1
    block = int(windows.block[cell])
    first = int(windows.first[cell])
    low = 0
    high = int(windows.count[cell])
    # Most events are the newest of their window: ask the last entry first.
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
    windows = state.windows
    mask = (1 << int(windows.size_class[cell])) - 1
    place = int(windows.block[cell]) + ((int(windows.first[cell]) + position) & mask)
    return bool(state.entries.timestamp[place] == timestamp and state.entries.id[place] == event_id)


@kernel
def _enlarge(state: State, cell: int) -> None:
    windows = state.windows
    entries = state.entries
    size_class = int(windows.size_class[cell])
    mask = (1 << size_class) - 1
    block = int(windows.block[cell])
    first = int(windows.first[cell])
    larger = take_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class + 1)
    for position in range(1 << size_class):
        source = block + ((first + position) & mask)
        entries.timestamp[larger + position] = entries.timestamp[source]
        entries.id[larger + position] = entries.id[source]
    give_back_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class, block)
    windows.block[cell] = larger
    windows.first[cell] = 0
    windows.size_class[cell] = size_class + 1
