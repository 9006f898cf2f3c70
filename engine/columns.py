"""State as dense columns and back: the form in which it is stored, merged and compacted.

The kernels' arrays have holes, links and spare cells.  `Columns` hold the same facts without
them, in the order of the users: one entry a user, and for each user some series with their
events, memberships and future-dated events, as counts and concatenated values.  Whatever follows
from these facts (hashes, tables, timers) is derived anew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.ahead import ahead_due
from engine.compiled import kernel
from engine.growth import new_table
from engine.hashing import stable_hashes
from engine.plan import Bytes, Int8s, Int32s, Int64s, Plan, PlanArrays
from engine.pools import IN_USE, NONE, TOP
from engine.rings import NOWHERE, ring_of
from engine.series import empty_at, flip, holds, judge
from engine.state import (
    AHEAD,
    AHEAD_BOOK,
    AHEAD_EVENT,
    CLOCK,
    DUPLICATE,
    ENTRIES_BOOK,
    ENTRY,
    FRESH,
    HOLDING,
    IDS_TOP,
    IN_FORCE,
    LATE,
    LIVE,
    MATCHED,
    MEMBER,
    MEMBERS_BOOK,
    NEVER,
    RELEASED,
    SENT,
    SERIES,
    SERIES_BOOK,
    TIMER,
    USER,
    USERS_LIVE,
    USERS_TOP,
    State,
    new_state,
    records,
)
from engine.texts import Texts
from engine.timers import arm
from engine.users import enter_all_in_table

# Cells of `State.numbers` that are facts rather than bookkeeping.
_KEPT_NUMBERS = [CLOCK, IN_FORCE, HOLDING, MATCHED, DUPLICATE, LATE, AHEAD]


class Columns(NamedTuple):
    numbers: Int64s  # clock, in force, holding, and the counts
    ids: Texts
    marks: Int8s  # FRESH and SENT of each user
    clocks: Int64s
    words: Int64s  # shape (users, words)
    series_counts: Int32s  # series a user
    series_numbers: Int32s
    series_sizes: Int32s  # events a series
    entry_timestamps: Int64s
    entry_ids: Int64s
    member_counts: Int32s  # audiences a user
    member_audiences: Int32s
    member_sequences: Int32s
    ahead_counts: Int32s  # future-dated events a user
    ahead_recorded: Int64s
    ahead_ids: Int64s
    ahead_timestamps: Int64s
    released: Texts  # users forgotten since the last dump

    @property
    def users(self) -> int:
        return self.clocks.size

    @property
    def clock(self) -> int:
        return int(self.numbers[0])

    @property
    def in_force(self) -> bool:
        return bool(self.numbers[1])

    @property
    def holding(self) -> bool:
        return bool(self.numbers[2])

    def with_holding(self, holding: bool) -> Columns:
        numbers = self.numbers.copy()
        numbers[2] = holding
        return self._replace(numbers=numbers)

    def with_clock(self, clock: int) -> Columns:
        """The same, if the group's clock has reached an instant before which nothing was due."""
        numbers = self.numbers.copy()
        numbers[0] = max(clock, int(numbers[0]))
        return self._replace(numbers=numbers)


def to_columns(state: State, flag: int = LIVE) -> Columns:
    """The facts about all live users, or about those who carry the flag as well."""
    flags = state.users["marks"][: state.numbers[USERS_TOP]]
    return columns_of(state, np.flatnonzero((flags & LIVE != 0) & (flags & flag != 0)))


def columns_of(state: State, chosen: Int64s) -> Columns:
    """The same about live users of these numbers."""
    users = state.users
    series = ragged(users["series"][chosen], users["series_count"][chosen])
    entries = _ring_cells(state, series)
    members = ragged(users["members"][chosen], users["members_count"][chosen])
    ahead_counts, ahead = _ahead_cells(state, chosen)
    return Columns(
        numbers=state.numbers[_KEPT_NUMBERS],
        ids=_gathered(state.ids, users["id_start"][chosen], users["id_length"][chosen]),
        marks=(users["marks"][chosen] & (FRESH | SENT)).astype(np.int8),
        clocks=users["clock"][chosen],
        words=state.words[chosen],
        series_counts=users["series_count"][chosen],
        series_numbers=state.series["number"][series],
        series_sizes=state.series["count"][series],
        entry_timestamps=state.entries["timestamp"][entries],
        entry_ids=state.entries["id"][entries],
        member_counts=users["members_count"][chosen],
        member_audiences=state.members["audience"][members],
        member_sequences=state.members["sequence"][members],
        ahead_counts=ahead_counts,
        ahead_recorded=state.ahead["recorded"][ahead],
        ahead_ids=state.ahead["id"][ahead],
        ahead_timestamps=state.ahead["timestamp"][ahead],
        released=_released(state.released[: state.numbers[RELEASED]]),
    )


def from_columns(plan: Plan, columns: Columns) -> State:
    """The state that `to_columns` described, without holes."""
    arrays = plan.arrays
    state = new_state(plan.word_count, arrays.truths_at_rest.size)
    count = columns.users
    numbers = state.numbers
    numbers[_KEPT_NUMBERS] = columns.numbers
    numbers[USERS_TOP] = numbers[USERS_LIVE] = count
    numbers[IDS_TOP] = columns.ids.data.size
    series_starts, series_classes, series_cells = _laid_out(columns.series_counts)
    ring_starts, ring_classes, ring_cells = _laid_out(columns.series_sizes)
    member_starts, member_classes, member_cells = _laid_out(columns.member_counts)
    users = records(count, USER)
    users["hash"] = stable_hashes(columns.ids)
    users["clock"] = columns.clocks
    users["due"] = NEVER
    users["armed"] = NEVER
    users["id_start"] = columns.ids.starts[:-1]
    users["id_length"] = np.diff(columns.ids.starts)
    users["ahead"] = NONE
    users["series"] = series_starts
    users["series_count"] = columns.series_counts
    users["series_class"] = series_classes
    users["members"] = member_starts
    users["members_count"] = columns.member_counts
    users["members_class"] = member_classes
    users["marks"] = columns.marks | LIVE
    series = records(series_cells.total, SERIES)
    series["number"][series_cells.places] = columns.series_numbers
    series["count"][series_cells.places] = columns.series_sizes
    series["first"][series_cells.places] = 0
    series["size_class"][series_cells.places] = ring_classes
    series["block"][series_cells.places] = ring_starts
    entries = records(ring_cells.total, ENTRY)
    entries["timestamp"][ring_cells.places] = columns.entry_timestamps
    entries["id"][ring_cells.places] = columns.entry_ids
    members = records(member_cells.total, MEMBER)
    members["audience"][member_cells.places] = columns.member_audiences
    members["sequence"][member_cells.places] = columns.member_sequences
    ahead = records(columns.ahead_ids.size, AHEAD_EVENT)
    ahead["recorded"] = columns.ahead_recorded
    ahead["id"] = columns.ahead_ids
    ahead["timestamp"] = columns.ahead_timestamps
    ahead["next"] = NONE
    for book, pool in (
        (SERIES_BOOK, series),
        (ENTRIES_BOOK, entries),
        (MEMBERS_BOOK, members),
        (AHEAD_BOOK, ahead),
    ):
        state.books[book, TOP] = state.books[book, IN_USE] = pool.size
    state = state._replace(
        users=users,
        words=columns.words.copy(),
        truths=np.tile(arrays.truths_at_rest, (count, 1)),
        table=new_table(count),
        ids=columns.ids.data.copy(),
        series=series,
        entries=entries,
        members=members,
        timers=records(count + 2, TIMER),
        ahead=ahead,
    )
    enter_all_in_table(state.table, users, count)
    _link_ahead(state, columns.ahead_counts)
    _derive(arrays, state)
    return state


class _Cells(NamedTuple):
    """Where concatenated values go: `places` of an array of `total` cells."""

    places: Int64s
    total: int


def _laid_out(counts: Int32s) -> tuple[Int64s, Int8s, _Cells]:
    """Blocks for lists of the given lengths: their starts, size classes, and the values' cells."""
    bits = np.frexp(np.maximum(counts, 1) - 0.5)[1]
    classes = np.where(counts == 0, NONE, np.maximum(bits, 0)).astype(np.int8)
    sizes = np.where(counts == 0, 0, np.int64(1) << np.maximum(classes, 0).astype(np.int64))
    ends = np.cumsum(sizes)
    starts = ends - sizes
    total = int(ends[-1]) if counts.size else 0
    return starts, classes, _Cells(ragged(starts, counts), total)


def ragged(starts: Int64s, counts: Int32s) -> Int64s:
    """The cells of all lists, list after list."""
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if counts.size else 0
    cells: Int64s = np.arange(total) + np.repeat(starts - (ends - counts), counts)
    return cells


def _ring_cells(state: State, series: Int64s) -> Int64s:
    """The entries of all series, oldest first."""
    counts = state.series["count"][series]
    positions = ragged(state.series["first"][series].astype(np.int64), counts)
    masks = (np.int64(1) << state.series["size_class"][series].astype(np.int64)) - 1
    blocks = np.repeat(state.series["block"][series], counts)
    cells: Int64s = blocks + (positions & np.repeat(masks, counts))
    return cells


def _gathered(data: Bytes, starts: Int64s, lengths: Int32s) -> Texts:
    ends = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=ends[1:])
    return Texts(data[ragged(starts, lengths)], ends)


def _ahead_cells(state: State, chosen: Int64s) -> tuple[Int32s, Int64s]:
    """Counts a user, and cells in the order of the users' lists."""
    counts = np.zeros(chosen.size, dtype=np.int32)
    cells: list[int] = []
    for row in np.flatnonzero(state.users["ahead"][chosen] != NONE).tolist():
        cell = int(state.users["ahead"][chosen[row]])
        while cell != NONE:
            cells.append(cell)
            counts[row] += 1
            cell = int(state.ahead["next"][cell])
    return counts, np.array(cells, dtype=np.int64)


def _link_ahead(state: State, counts: Int32s) -> None:
    cell = 0
    for user in np.flatnonzero(counts).tolist():
        state.users["ahead"][user] = cell
        last = cell + int(counts[user]) - 1
        state.ahead["next"][cell:last] = np.arange(cell + 1, last + 1)
        cell = last + 1


def _released(data: Bytes) -> Texts:
    raw = data.tobytes()
    texts = []
    place = 0
    while place < len(raw):
        end = place + 4 + int.from_bytes(raw[place : place + 4], "little")
        texts.append(raw[place + 4 : end].decode())
        place = end
    return Texts.of(texts)


@kernel
def _derive(plan: PlanArrays, state: State) -> None:
    """Find out what is true, when it is due to change, and set the timers."""
    users = state.users
    for user in range(users.size):
        # Whatever fell due before the group's clock has happened.
        instant = max(int(users.clock[user]), int(state.numbers[CLOCK]) - 1)
        due = NEVER
        start = int(users.series[user])
        for cell in range(start, start + int(users.series_count[user])):
            due = min(due, _derive_series(plan, state, user, cell, instant))
        if users.ahead[user] != NONE:
            due = min(due, ahead_due(plan, state, user))
        if due == NEVER and users.members_count[user] == 0:
            due = int(users.clock[user])
        users.due[user] = due
        arm(state, user)


@kernel
def _derive_series(plan: PlanArrays, state: State, user: int, cell: int, instant: int) -> int:
    number = int(state.series.number[cell])
    ring = ring_of(state, cell)
    due = empty_at(plan, state, ring, number)
    for position in range(int(plan.series.first[number]), int(plan.series.end[number])):
        condition = int(plan.conditions.number[position])
        truth, until = judge(plan, state, ring, position, instant, NOWHERE)
        due = min(due, until)
        if truth != holds(state, user, condition):
            flip(state, user, condition)
    state.series.due[cell] = due
    return due
