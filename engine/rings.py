"""Rings: the newest events of a series, sorted by (timestamp, id).

Late events, duplicates and ties need nothing else: an event is inserted where it belongs,
recognised where it already is, or dropped when it is older than all that matter.  Events are named
by their rank: the newest has rank 1.

A ring lies in a block of 1, 2, 4, … cells, which is exchanged for one twice as long when it is full
and the series may hold more.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.compiled import kernel
from engine.pools import give_back_block, take_block
from engine.state import ENTRIES_BOOK, State

# The rank of an event that is not in the ring or not of it: behind all others.
NOWHERE = 1 << 40


class Ring(NamedTuple):
    """Where a series' events lie: `(end - rank) & mask` cells after `block` in `State.entries`."""

    block: int
    mask: int
    end: int
    size: int  # events


@kernel
def ring_of(state: State, cell: int) -> Ring:
    series = state.series
    size = int(series.count[cell])
    mask = (1 << int(series.size_class[cell])) - 1
    return Ring(int(series.block[cell]), mask, int(series.first[cell]) + size, size)


@kernel
def place_of(ring: Ring, rank: int) -> int:
    return ring.block + ((ring.end - rank) & ring.mask)


@kernel
def timestamp_of(state: State, ring: Ring, rank: int) -> int:
    return int(state.entries.timestamp[place_of(ring, rank)])


@kernel
def insert(state: State, cell: int, capacity: int, timestamp: int, event_id: int) -> int:
    """Put an event into a series; return its rank, or NOWHERE if it is there already.

    An event that is older than all that matter has a rank beyond `capacity` and is not kept.
    """
    series = state.series
    entries = state.entries
    ring = ring_of(state, cell)
    rank = _rank_of(state, ring, timestamp, event_id)
    if _is_at(state, ring, rank, timestamp, event_id):
        return NOWHERE
    if rank > capacity:
        return rank
    if ring.mask < ring.size < capacity:
        _enlarge(state, cell)
        ring = ring_of(state, cell)
    size = min(ring.size + 1, capacity)  # of a full ring the oldest event goes
    for newer in range(1, rank):
        entries[place_of(ring, newer - 1)] = entries[place_of(ring, newer)]
    place = place_of(ring, rank - 1)
    entries.timestamp[place] = timestamp
    entries.id[place] = event_id
    series.first[cell] = (ring.end + 1 - size) & ring.mask
    series.count[cell] = size
    return rank


@kernel
def contains(state: State, cell: int, timestamp: int, event_id: int) -> bool:
    ring = ring_of(state, cell)
    return _is_at(state, ring, _rank_of(state, ring, timestamp, event_id), timestamp, event_id)


@kernel
def cells_to_enlarge(state: State, cell: int, capacity: int) -> int:
    """Cells of `State.entries` that inserting one event into this series could take."""
    size = 1 << int(state.series.size_class[cell])
    if state.series.count[cell] == size and size < capacity:
        return 2 * size
    return 0


@kernel
def _rank_of(state: State, ring: Ring, timestamp: int, event_id: int) -> int:
    """The rank that an event has or would have: one more than there are events after it."""
    entries = state.entries
    low = 1
    high = ring.size + 1
    middle = 1  # most events are the newest of their series
    while low < high:
        place = place_of(ring, middle)
        other = entries.timestamp[place]
        if other > timestamp or (other == timestamp and entries.id[place] > event_id):
            low = middle + 1
        else:
            high = middle
        middle = (low + high) >> 1
    return low


@kernel
def _is_at(state: State, ring: Ring, rank: int, timestamp: int, event_id: int) -> bool:
    place = place_of(ring, rank)
    return rank <= ring.size and bool(
        state.entries.timestamp[place] == timestamp and state.entries.id[place] == event_id
    )


@kernel
def _enlarge(state: State, cell: int) -> None:
    """Give a full ring twice as many cells."""
    series = state.series
    entries = state.entries
    ring = ring_of(state, cell)
    size_class = int(series.size_class[cell])
    larger = take_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class + 1)
    for rank in range(1, ring.size + 1):
        entries[larger + ring.size - rank] = entries[place_of(ring, rank)]
    give_back_block(state.books[ENTRIES_BOOK], entries.timestamp, size_class, ring.block)
    series.block[cell] = larger
    series.first[cell] = 0
    series.size_class[cell] = size_class + 1
