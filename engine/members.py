"""Which audiences a user has entered, and how often.

A user's cells are sorted by audience.  The sequence counts the user's transitions in that
audience: odd means member.  Cells are never given back while the user is known, because a later
entry must go on counting.
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.pools import NONE, give_back_block, take_block
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
    low = int(state.users.members[user])
    high = low + int(state.users.members_count[user])
    end = high
    while low < high:
        middle = (low + high) >> 1
        if state.members.audience[middle] < audience:
            low = middle + 1
        else:
            high = middle
    if low < end and state.members.audience[low] == audience:
        return low
    return -1 - low


@kernel
def _add(state: State, user: int, audience: int, cell: int) -> int:
    users = state.users
    members = state.members
    start = int(users.members[user])
    count = int(users.members_count[user])
    size_class = int(users.members_class[user])
    position = cell - start if count > 0 else 0
    if size_class == NONE or count == 1 << size_class:
        larger = take_block(state.books[MEMBERS_BOOK], members.audience, size_class + 1)
        for offset in range(count):
            members.audience[larger + offset] = members.audience[start + offset]
            members.sequence[larger + offset] = members.sequence[start + offset]
        if size_class != NONE:
            give_back_block(state.books[MEMBERS_BOOK], members.audience, size_class, start)
        users.members[user] = larger
        users.members_class[user] = size_class + 1
        start = larger
    for offset in range(count, position, -1):
        members.audience[start + offset] = members.audience[start + offset - 1]
        members.sequence[start + offset] = members.sequence[start + offset - 1]
    users.members_count[user] = count + 1
    cell = start + position
    members.audience[cell] = audience
    members.sequence[cell] = 0
    return cell
