"""Finding, adding and releasing users.

The table is open addressing with linear probing over the hash of the user's id; ids are compared
byte by byte, so two users of equal hash are two users.  Deletion shifts the following entries
back, which leaves no tombstones (Knuth, TAOCP volume 3, section 6.4, algorithm R).
"""

from __future__ import annotations

from engine.compiled import kernel
from engine.inputs import Snapshot
from engine.plan import Bytes, Int32s, Int64s, PlanArrays
from engine.pools import NONE
from engine.state import (
    CHANGED,
    FRESH,
    IDS_TOP,
    LIVE,
    NEVER,
    RELEASED,
    TRACKING,
    USERS_FREE,
    USERS_LIVE,
    USERS_TOP,
    Records,
    State,
)
from engine.texts import Texts


@kernel
def find_user(state: State, user_hash: int, data: Bytes, start: int, end: int) -> int:
    """The number of the user whose id is `data[start:end]`, or NONE."""
    users = state.users
    mask = state.table.size - 1
    place = user_hash & mask
    while True:
        user = int(state.table[place])
        if user == NONE:
            return NONE
        if users.hash[user] == user_hash and same_bytes(
            state.ids, int(users.id_start[user]), int(users.id_length[user]), data, start, end
        ):
            return user
        place = (place + 1) & mask


@kernel
def find_users(state: State, hashes: Int64s, ids: Texts, found: Int64s) -> None:
    """Of each of these ids what `find_user` finds."""
    for row in range(hashes.size):
        start, end = int(ids.starts[row]), int(ids.starts[row + 1])
        found[row] = find_user(state, int(hashes[row]), ids.data, start, end)


@kernel
def add_user(
    plan: PlanArrays, state: State, user_hash: int, data: Bytes, start: int, end: int
) -> int:
    """Give an unknown user a number.  The caller has made sure that there is room."""
    users = state.users
    user = int(state.numbers[USERS_FREE])
    if user == NONE:
        user = int(state.numbers[USERS_TOP])
        state.numbers[USERS_TOP] += 1
    else:
        state.numbers[USERS_FREE] = users.armed[user]
    state.numbers[USERS_LIVE] += 1
    id_start = int(state.numbers[IDS_TOP])
    for position in range(end - start):
        state.ids[id_start + position] = data[start + position]
    state.numbers[IDS_TOP] += end - start
    users.hash[user] = user_hash
    users.id_start[user] = id_start
    users.id_length[user] = end - start
    users.marks[user] = LIVE | FRESH | CHANGED
    users.clock[user] = -NEVER
    users.due[user] = NEVER
    users.armed[user] = NEVER
    users.series[user] = 0
    users.series_count[user] = 0
    users.series_class[user] = NONE
    users.members[user] = 0
    users.members_count[user] = 0
    users.members_class[user] = NONE
    users.ahead[user] = NONE
    for word in range(plan.truths_at_rest.size):
        state.truths[user, word] = plan.truths_at_rest[word]
    enter_in_table(state.table, users, user)
    return user


@kernel
def enter_in_table(table: Int32s, users: Records, user: int) -> None:
    mask = table.size - 1
    place = int(users.hash[user]) & mask
    while table[place] != NONE:
        place = (place + 1) & mask
    table[place] = user


@kernel
def enter_all_in_table(table: Int32s, users: Records, count: int) -> None:
    """Fill an empty table with those of users 0 … count - 1 that are live."""
    for user in range(count):
        if users.marks[user] & LIVE:
            enter_in_table(table, users, user)


@kernel
def release_user(state: State, user: int) -> None:
    """Forget a user of whom nothing is left, and write the id down for the next difference."""
    users = state.users
    if state.numbers[TRACKING]:
        _write_down(state, user)
    mask = state.table.size - 1
    place = int(users.hash[user]) & mask
    while state.table[place] != user:
        place = (place + 1) & mask
    hole = place
    while True:
        place = (place + 1) & mask
        follower = int(state.table[place])
        if follower == NONE:
            break
        home = int(users.hash[follower]) & mask
        # The follower may fill the hole unless its home lies after it, cyclically.
        if ((place - home) & mask) >= ((place - hole) & mask):
            state.table[hole] = follower
            hole = place
    state.table[hole] = NONE
    users.marks[user] = 0
    users.armed[user] = state.numbers[USERS_FREE]
    state.numbers[USERS_FREE] = user
    state.numbers[USERS_LIVE] -= 1


@kernel
def _write_down(state: State, user: int) -> None:
    users = state.users
    length = int(users.id_length[user])
    start = int(users.id_start[user])
    top = int(state.numbers[RELEASED])
    for shift in range(4):
        state.released[top + shift] = (length >> (8 * shift)) & 0xFF
    for position in range(length):
        state.released[top + 4 + position] = state.ids[start + position]
    state.numbers[RELEASED] += 4 + length


@kernel
def find_in_snapshot(snapshot: Snapshot, user_hash: int, data: Bytes, start: int, end: int) -> int:
    """The snapshot's row of the user whose id is `data[start:end]`, or NONE."""
    low = 0
    high = snapshot.hashes.size
    while low < high:
        middle = (low + high) >> 1
        if snapshot.hashes[middle] < user_hash:
            low = middle + 1
        else:
            high = middle
    starts = snapshot.users.starts
    while low < snapshot.hashes.size and snapshot.hashes[low] == user_hash:
        length = int(starts[low + 1] - starts[low])
        if same_bytes(snapshot.users.data, int(starts[low]), length, data, start, end):
            return low
        low += 1
    return NONE


@kernel
def same_bytes(
    mine: Bytes, my_start: int, my_length: int, data: Bytes, start: int, end: int
) -> bool:
    if my_length != end - start:
        return False
    for position in range(my_length):
        if mine[my_start + position] != data[start + position]:
            return False
    return True
