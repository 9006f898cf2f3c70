"""Events whose recorded instant lies after their arrival.

A client's clock can run ahead.  Such an event counts at its arrival, yet it is the same event when
a copy of it arrives later, and a copy must not count twice.  The user therefore remembers the
recorded instant, the id and the instant at which the first copy counted, for as long as a copy
could still fall into a window.  Memory per user is bounded: beyond `REMEMBERED_MAX` such events
the one that was recorded first is forgotten.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.plan import PlanArrays
from engine.pools import NONE, give_back_block, take_block
from engine.state import AHEAD, AHEAD_BOOK, NEVER, State

# A client whose clock is wrong sends tens of such events a day; thousands are an attack, and each
# of them costs every event of that user a comparison.
REMEMBERED_MAX = 4096


@kernel
def counting_instant(state: State, user: int, recorded: int, event_id: int, arrival: int) -> int:
    """The instant at which the event counts: as recorded, at its arrival, or as its first copy."""
    ahead = state.ahead
    cell = int(state.users.ahead[user])
    previous = NONE
    length = 0
    while cell != NONE:
        if ahead.recorded[cell] == recorded and ahead.id[cell] == event_id:
            return int(ahead.timestamp[cell])
        length += 1
        if length == REMEMBERED_MAX and previous != NONE:
            ahead.next[previous] = NONE
            give_back_block(state.books[AHEAD_BOOK], ahead.next, 0, cell)
            break
        previous = cell
        cell = int(ahead.next[cell])
    if recorded <= arrival:
        return recorded
    state.numbers[AHEAD] += 1
    cell = take_block(state.books[AHEAD_BOOK], ahead.next, 0)
    ahead.recorded[cell] = recorded
    ahead.id[cell] = event_id
    ahead.timestamp[cell] = arrival
    ahead.next[cell] = state.users.ahead[user]
    state.users.ahead[user] = cell
    return arrival


@kernel
def forget_ahead(plan: PlanArrays, state: State, user: int, clock: int) -> None:
    """Drop what no copy could count for any more: recorded a longest window ago."""
    ahead = state.ahead
    previous = NONE
    cell = int(state.users.ahead[user])
    while cell != NONE:
        following = int(ahead.next[cell])
        if ahead.recorded[cell] + plan.longest_window <= clock:
            if previous == NONE:
                state.users.ahead[user] = following
            else:
                ahead.next[previous] = following
            give_back_block(state.books[AHEAD_BOOK], ahead.next, 0, cell)
        else:
            previous = cell
        cell = following


@kernel
def ahead_due(plan: PlanArrays, state: State, user: int) -> int:
    """When the first of the remembered events may be forgotten."""
    due = NEVER
    cell = int(state.users.ahead[user])
    while cell != NONE:
        due = min(due, int(state.ahead.recorded[cell]) + plan.longest_window)
        cell = int(state.ahead.next[cell])
    return due
