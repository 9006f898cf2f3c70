"""Which user is due next: a binary heap of (instant, user).

A user has at most one live entry, at `armed`.  When the user becomes due earlier, a new entry is
pushed and the old one is stale; when later, the entry stays and is renewed once it comes up.
So events that merely postpone a user's timer, the usual case, cost nothing here.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.pools import NONE
from engine.state import LIVE, NEVER, TIMERS, State


@kernel
def arm(state: State, user: int) -> None:
    """Make sure that the heap has an entry no later than the user's `due`."""
    due = state.users.due[user]
    if due < state.users.armed[user]:
        state.users.armed[user] = due
        _push(state, due, user)


@kernel
def pop_user(state: State) -> int:
    """Remove the earliest entry; return its user, disarmed, or NONE if the entry was stale."""
    due = state.timers.due[0]
    user = int(state.timers.user[0])
    _remove_first(state)
    if not state.users.marks[user] & LIVE or state.users.armed[user] != due:
        return NONE
    state.users.armed[user] = NEVER
    return user


@kernel
def _push(state: State, due: int, user: int) -> None:
    heap = state.timers
    hole = int(state.numbers[TIMERS])
    state.numbers[TIMERS] += 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if heap.due[parent] <= due:
            break
        heap.due[hole] = heap.due[parent]
        heap.user[hole] = heap.user[parent]
        hole = parent
    heap.due[hole] = due
    heap.user[hole] = user


@kernel
def _remove_first(state: State) -> None:
    heap = state.timers
    last = int(state.numbers[TIMERS]) - 1
    state.numbers[TIMERS] = last
    due = heap.due[last]
    user = heap.user[last]
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= last:
            break
        if child + 1 < last and heap.due[child + 1] < heap.due[child]:
            child += 1
        if heap.due[child] >= due:
            break
        heap.due[hole] = heap.due[child]
        heap.user[hole] = heap.user[child]
        hole = child
    heap.due[hole] = due
    heap.user[hole] = user
