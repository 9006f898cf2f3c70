"""A key group's state as flat arrays.

Everything that the core remembers about the users of one parent model in one key group.  Arrays
of records keep what belongs together in one cache line; kernels read `state.users.clock[user]`.
All arrays have spare cells at their end, and `engine.growth` makes more.

What a user costs: a row of `users` with its id, a bit for each predicate and each condition, a cell
of `series` and the newest events in `entries` for each series that holds something, a cell of
`members` for each audience that the user has ever entered (sequences must go on counting), and an
entry among the timers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.compiled import for_kernels
from engine.plan import Bytes, Int32s, Int64s
from engine.pools import NONE, new_book

# An instant later than any other.
NEVER = 1 << 62

# Cells of `State.numbers`.
CLOCK = 0  # the latest tick, or the instant at which the latest snapshot took force
IN_FORCE = 1  # 1 once a snapshot has taken force: before, events count but nobody is evaluated
USERS_TOP = 2  # user numbers below were used
USERS_FREE = 3  # first of the list of released user numbers, linked by `armed`
USERS_LIVE = 4
IDS_TOP = 5  # bytes of `ids` in use
TIMERS = 6  # entries in the heap
TRANSITIONS = 7  # rows in use of the transitions being collected
MATCHED = 8  # counts of tallied inputs
DUPLICATE = 9
LATE = 10
AHEAD = 11  # inputs dated later than their arrival
TRACKING = 12  # 1 when released users are written down for the next difference
RELEASED = 13  # bytes of `released` in use
HOLDING = 14  # 1 while some audiences wait for their definitions to take force
NUMBERS = 15

# Bits of a user's `marks`.
LIVE = 1
FRESH = 2  # cannot be a member: not evaluated yet, or gone from the warehouse without an event
CHANGED = 4  # since the last dump
SENT = 8  # has sent an event: may be a member also when the warehouse does not know the user


# One row a user; `State.table` finds the row by the hash of the user's id.
USER = np.dtype(
    [
        ("hash", np.int64),
        ("clock", np.int64),  # the latest arrival that the user has seen
        ("due", np.int64),  # no instant before it changes anything by time alone
        ("armed", np.int64),  # the instant of the user's entry among the timers
        ("id_start", np.int64),  # in `State.ids`
        ("id_length", np.int32),
        ("ahead", np.int32),  # first of the user's list in `State.ahead`
        ("series", np.int64),  # block of `State.series`, ascending by number
        ("members", np.int64),  # block of `State.members`, ascending by audience
        ("series_count", np.int32),
        ("members_count", np.int32),
        ("series_class", np.int8),  # size class of the block, NONE without block
        ("members_class", np.int8),
        ("marks", np.int8),
    ],
    align=True,
)

# One cell a user and series that holds events, see `engine.series`.
SERIES = np.dtype(
    [
        ("due", np.int64),  # when time alone changes a condition's truth, or empties the series
        ("block", np.int64),  # of the ring in `State.entries`
        ("number", np.int32),  # in `PlanArrays.series`
        ("count", np.int32),  # events in the ring
        ("first", np.int32),  # position of the oldest in the ring
        ("size_class", np.int32),  # of the ring's block
    ],
    align=True,
)

# Events in rings: the newest of a series, ascending by (timestamp, id).
ENTRY = np.dtype([("timestamp", np.int64), ("id", np.int64)], align=True)

# One cell a user and audience entered at least once; a member while the sequence is odd.
MEMBER = np.dtype([("audience", np.int32), ("sequence", np.int32)], align=True)

# A binary heap of (due, user); an entry that its user no longer names is stale.
TIMER = np.dtype([("due", np.int64), ("user", np.int32)], align=True)

# Events that were dated later than their arrival: one cell each, in a list a user.
AHEAD_EVENT = np.dtype(
    [
        ("recorded", np.int64),
        ("id", np.int64),
        ("timestamp", np.int64),  # at which the first copy counted
        ("next", np.int64),
    ],
    align=True,
)

# Rows of `State.books`: one pool each.
SERIES_BOOK, ENTRIES_BOOK, MEMBERS_BOOK, AHEAD_BOOK = range(4)

# Field access as in `users.clock[user]`, which type checkers cannot follow.
Records = Any


class State(NamedTuple):
    numbers: Int64s
    books: Int64s  # one row a pool, see `engine.pools`
    users: Records  # USER
    words: Int64s  # shape (users, words): outcomes of the warehouse predicates
    truths: Int64s  # the same for the conditions
    table: Int32s  # user numbers, open addressing with linear probing; NONE where empty
    ids: Bytes
    series: Records  # SERIES
    entries: Records  # ENTRY
    members: Records  # MEMBER
    timers: Records  # TIMER
    ahead: Records  # AHEAD_EVENT
    released: Bytes  # ids of users released since the last dump: 4 bytes length, then the id

    @property
    def size_bytes(self) -> int:
        return sum(array.nbytes for array in self)


# What a kernel may ask its caller to enlarge; 0 means that it is done.
DONE = 0
MORE_USERS = 1
MORE_IDS = 2
MORE_SERIES = 3
MORE_ENTRIES = 4
MORE_MEMBERS = 5
MORE_TIMERS = 6
MORE_AHEAD = 7
MORE_TRANSITIONS = 8
MORE_RELEASED = 9


# A new group has room for some users: enlarging the arrays one by one would take longer.
_CELLS = 64


def new_state(word_count: int, truth_count: int) -> State:
    """The state of a group that has seen nobody.

    Args:
        word_count: Words a user for the predicates.
        truth_count: Words a user for the conditions.
    """
    numbers = np.zeros(NUMBERS, dtype=np.int64)
    numbers[CLOCK] = -NEVER
    numbers[USERS_FREE] = NONE
    return State(
        numbers,
        books=np.array([new_book() for _ in range(4)]),
        users=records(_CELLS, USER),
        words=np.empty((_CELLS, word_count), dtype=np.int64),
        truths=np.empty((_CELLS, truth_count), dtype=np.int64),
        table=np.full(2 * _CELLS, NONE, dtype=np.int32),
        ids=np.empty(16 * _CELLS, dtype=np.uint8),
        series=records(4 * _CELLS, SERIES),
        entries=records(4 * _CELLS, ENTRY),
        members=records(4 * _CELLS, MEMBER),
        timers=records(_CELLS, TIMER),
        ahead=records(0, AHEAD_EVENT),
        released=np.empty(0, dtype=np.uint8),
    )


def records(count: int, layout: np.dtype[Any]) -> Records:
    """An array of records, content undefined."""
    return for_kernels(np.empty(count, dtype=layout))
