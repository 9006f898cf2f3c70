"""Which users moved from one snapshot to another.

Both list their users in ascending order of their hashes, so one walk over both, side by side, finds
every difference.  It reads each array once and keeps nothing but what moved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.compiled import kernel
from engine.hashing import GROUP_BITS, GROUPS
from engine.inputs import Snapshot
from engine.plan import Int64s
from engine.users import same_bytes

# Rows that one walk may find before it hands them over.
_FOUND_AT_ONCE = 1 << 16


class Rows(NamedTuple):
    """Rows `first` … `end - 1` of a snapshot."""

    first: int
    end: int


class Difference(NamedTuple):
    """Rows in ascending order; they are few if little has moved.

    `gone` are rows of the old snapshot whose users the new one does not know; `moved` are rows of
    the new one whose users the old one does not know, or knows with other bits.
    """

    gone: Int64s
    moved: Int64s

    @property
    def size(self) -> int:
        return self.gone.size + self.moved.size


def difference_of_group(old: Snapshot, new: Snapshot, group: int | None) -> Difference:
    """What moved among the users of a key group, or, without one, among all."""
    return difference(old, new, rows_of_group(old, group), rows_of_group(new, group))


def rows_of_group(snapshot: Snapshot, group: int | None) -> Rows:
    """The rows of a key group's users, or, without one, all rows."""
    if group is None:
        return Rows(0, snapshot.hashes.size)
    signed = group - GROUPS if group >= GROUPS // 2 else group
    smallest = signed << (64 - GROUP_BITS)
    largest = smallest + (1 << (64 - GROUP_BITS)) - 1
    return Rows(
        int(np.searchsorted(snapshot.hashes, smallest, side="left")),
        int(np.searchsorted(snapshot.hashes, largest, side="right")),
    )


def difference(old: Snapshot, new: Snapshot, old_rows: Rows, new_rows: Rows) -> Difference:
    """What moved among some rows of each, which have to be those of the same hashes.

    Bit by bit their predicates have to mean the same.  Users of equal hash are told apart by their
    ids.
    """
    old, new = old.frozen(), new.frozen()
    return Difference(
        gone=_unlike(old, new, old_rows, new_rows, compares=False),
        moved=_unlike(new, old, new_rows, old_rows, compares=True),
    )


def _unlike(
    mine: Snapshot, other: Snapshot, rows: Rows, other_rows: Rows, *, compares: bool
) -> Int64s:
    """My rows whose users the other does not know; or knows with other bits, if it `compares`."""
    cursor = np.array([rows.first, other_rows.first], dtype=np.int64)
    found = np.empty(min(_FOUND_AT_ONCE, max(rows.end - rows.first, 1)), dtype=np.int64)
    parts = []
    while cursor[0] < rows.end:
        count = _walk(mine, other, rows.end, other_rows.end, compares, cursor, found)
        parts.append(found[:count].copy())
    return np.concatenate(parts) if parts else found[:0]


@kernel
def _walk(
    mine: Snapshot,
    other: Snapshot,
    end: int,
    other_end: int,
    compares: bool,
    cursor: Int64s,
    found: Int64s,
) -> int:
    """Go on from the cursor until all rows are seen, or `found` is full; return how many it has."""
    count = 0
    place = int(cursor[1])
    row = int(cursor[0])
    my_starts = mine.users.starts
    starts = other.users.starts
    while row < end and count < found.size:
        user_hash = mine.hashes[row]
        while place < other_end and other.hashes[place] < user_hash:
            place += 1
        same = False
        candidate = place
        while candidate < other_end and other.hashes[candidate] == user_hash:
            if same_bytes(
                other.users.data,
                int(starts[candidate]),
                int(starts[candidate + 1] - starts[candidate]),
                mine.users.data,
                int(my_starts[row]),
                int(my_starts[row + 1]),
            ):
                same = True
                if compares:
                    pattern = int(mine.pattern_of[row])
                    before = int(other.pattern_of[candidate])
                    for word in range(mine.patterns.shape[1]):
                        if mine.patterns[pattern, word] != other.patterns[before, word]:
                            same = False
                break
            candidate += 1
        if not same:
            found[count] = row
            count += 1
        row += 1
    cursor[0] = row
    cursor[1] = place
    return count
