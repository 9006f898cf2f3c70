"""A key group's state as flat arrays.

Everything that the core remembers about the users of one parent model in one key group.  The
arrays are grouped by what they describe; each group is a named tuple, so that kernels read
`state.users.clock[user]`.  Arrays have spare cells at their end; `grown` makes more.

What a user costs: a row in `Users`, a cell of `Windows` and the events in `Entries` for each
condition whose window holds something, a cell of `Members` for each audience that the user has
ever entered (sequences must go on counting), and an entry among the timers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.plan import Bytes, Int8s, Int32s, Int64s
from engine.pools import NONE, new_book

# An instant later than any other.
NEVER = 1 << 62

# Cells of `State.numbers`.
CLOCK = 0  # the latest tick, or the instant at which the latest snapshot took force
IN_FORCE = 1  # 1 once a snapshot has taken force: before, events count but nobody is evaluated
USERS_TOP = 2  # user numbers below were used
USERS_FREE = 3  # first of the list of released user numbers, linked by `Users.armed`
USERS_LIVE = 4
IDS_TOP = 5  # bytes of `Users.ids` in use
TIMERS = 6  # entries in the heap
TRANSITIONS = 7  # rows in use of the transitions being collected
MATCHED = 8  # counts of tallied inputs
DUPLICATE = 9
LATE = 10
AHEAD = 11  # inputs dated later than their arrival
TRACKING = 12  # 1 when released users are written down for the next difference
RELEASED = 13  # bytes of `Users.released` in use
NUMBERS = 14

# Bits of `Users.flags`.
LIVE = 1
FRESH = 2  # known, but not evaluated yet
CHANGED = 4  # since the last dump


class Users(NamedTuple):
    """One row a user; `table` finds the row by the hash of the user's id."""

    hash: Int64s
    id_start: Int64s
    id_length: Int32s
    flags: Int8s
    clock: Int64s  # the latest arrival that the user has seen
    due: Int64s  # the next instant at which time alone changes something
    armed: Int64s  # the instant of the user's entry among the timers
    windows: Int64s  # block of `Windows`, ascending by condition
    windows_count: Int32s
    windows_class: Int8s  # NONE without block
    members: Int64s  # block of `Members`, ascending by audience
    members_count: Int32s
    members_class: Int8s
    ahead: Int32s  # first of the user's list in `Ahead`
    words: Int64s  # shape (users, words): outcomes of the warehouse predicates
    table: Int32s  # open addressing with linear probing; NONE where empty
    ids: Bytes
    released: Bytes  # ids of users released since the last dump: 4 bytes length, then the id


class Windows(NamedTuple):
    """One cell a user and condition whose window holds events."""

    condition: Int32s
    count: Int32s  # events in the ring
    first: Int32s  # position of the oldest in the ring
    size_class: Int8s  # of the ring's block
    block: Int64s  # the ring's block in `Entries`
    due: Int64s  # when time alone changes the condition's truth, or empties the window
    book: Int64s


class Entries(NamedTuple):
    """Events in rings: the newest of a window, ascending by (timestamp, id)."""

    timestamp: Int64s
    id: Int64s
    book: Int64s


class Members(NamedTuple):
    """One cell a user and audience entered at least once; a member while the sequence is odd."""

    audience: Int32s
    sequence: Int32s
    book: Int64s


class Timers(NamedTuple):
    """A binary heap of (due, user); an entry that its user no longer names is stale."""

    due: Int64s
    user: Int32s


class Ahead(NamedTuple):
    """Events that were dated later than their arrival, by user.

    Such an event counts at its arrival, so a copy that arrives later looks like another event.
    It is recognised here, by timestamp as recorded and id, and gets the timestamp of the first.
    """

    recorded: Int64s
    id: Int64s
    timestamp: Int64s
    next: Int32s
    book: Int64s


class State(NamedTuple):
    numbers: Int64s
    users: Users
    windows: Windows
    entries: Entries
    members: Members
    timers: Timers
    ahead: Ahead

    @property
    def size_bytes(self) -> int:
        arrays = [self.numbers, *(array for group in self[1:] for array in group)]
        return sum(array.nbytes for array in arrays)


# What a kernel may ask its caller to enlarge; 0 means that it is done.
DONE = 0
MORE_USERS = 1
MORE_IDS = 2
MORE_WINDOWS = 3
MORE_ENTRIES = 4
MORE_MEMBERS = 5
MORE_TIMERS = 6
MORE_AHEAD = 7
MORE_TRANSITIONS = 8
MORE_RELEASED = 9


def new_state(word_count: int) -> State:
    """The state of a group that has seen nobody."""
    numbers = np.zeros(NUMBERS, dtype=np.int64)
    numbers[CLOCK] = -NEVER
    numbers[USERS_FREE] = NONE
    return State(
        numbers,
        new_users(word_count),
        Windows(*_empty(Windows), book=new_book()),
        Entries(*_empty(Entries), book=new_book()),
        Members(*_empty(Members), book=new_book()),
        Timers(*_empty(Timers)),
        Ahead(*_empty(Ahead), book=new_book()),
    )


def new_users(word_count: int) -> Users:
    cells = _empty(Users)
    return Users(
        *cells,
        words=np.empty((0, word_count), dtype=np.int64),
        table=np.full(4, NONE, dtype=np.int32),
        ids=np.empty(0, dtype=np.uint8),
        released=np.empty(0, dtype=np.uint8),
    )


# The element types of the arrays with one cell an item, in the order of their named tuple.
_CELLS: dict[type, str] = {
    Users: "i8 i8 i4 i1 i8 i8 i8 i8 i4 i1 i8 i4 i1 i4",
    Windows: "i4 i4 i4 i1 i8 i8",
    Entries: "i8 i8",
    Members: "i4 i4",
    Timers: "i8 i4",
    Ahead: "i8 i8 i8 i4",
}


def _empty(group: type) -> list[np.ndarray]:  # type: ignore[type-arg]
    return [np.empty(0, dtype=code) for code in _CELLS[group].split()]
