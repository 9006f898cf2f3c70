"""Which audiences a user has entered, and how often.

A user's cells are sorted by audience.  The sequence counts the user's transitions in that
audience: odd means member.  Cells are never given back while the user is known, because a later
entry must go on counting.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.pools import first_not_below, make_place, size_class_of
from engine.state import MEMBERS_BOOK, State


@kernel
def is_member(state: State, user: int, audience: int) -> bool:
    cell = _find(state, user, audience)
    return cell >= 0 and bool(state.members.sequence[cell] & 1)


@kernel
def turn(state: State, user: int, audience: int) -> int:
    """Enter a non-member or remove a member; return the transition's sequence."""
    cell = _find(state, user, audience)
    if cell < 0:
        cell = _add(state, user, audience, -1 - cell)
    state.members.sequence[cell] += 1
    return int(state.members.sequence[cell])


@kernel
def _find(state: State, user: int, audience: int) -> int:
    start = int(state.users.members[user])
    end = start + int(state.users.members_count[user])
    cell = first_not_below(state.members.audience, start, end, audience)
    if cell < end and state.members.audience[cell] == audience:
        return cell
    return -1 - cell


@kernel
def _add(state: State, user: int, audience: int, cell: int) -> int:
    users = state.users
    members = state.members
    start = int(users.members[user])
    count = int(users.members_count[user])
    size_class = int(users.members_class[user])
    position = cell - start
    start = make_place(
        state.books[MEMBERS_BOOK], members, members.audience, start, count, size_class, position
    )
    users.members[user] = start
    users.members_count[user] = count + 1
    users.members_class[user] = max(size_class, size_class_of(count + 1))
    cell = start + position
    members.audience[cell] = audience
    members.sequence[cell] = 0
    return cell
