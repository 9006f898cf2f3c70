"""A key group: the users of one parent model whose ids hash to one number, and their memberships.

This is the core's door.  The live job, backtests, simulators and tests hand a group what happens,
in order, and get transitions back; nobody else touches the arrays.  Time is always an argument:

    group = KeyGroup(plan)
    group.apply(history)                  # counted, but nobody is evaluated yet
    group.take_force(snapshot, at)        # first population
    group.apply(inputs)                   # events
    group.switch(newer, at, snapshot)     # those who moved from one snapshot to the other
    group.advance(to)                     # a tick: what falls due before `to` happens
    group.recall(history)                 # counted after all, under definitions that came later
    group.dump() -> bytes                 # and KeyGroup.load(plan, bytes) goes on from there,
                                          # under the same definitions or others
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine import codec
from engine.agenda import Agenda, hold_back
from engine.carrying import ALWAYS, Carried, Meanings, carry
from engine.columns import columns_of, from_columns, to_columns
from engine.difference import Difference, difference_of_group, rows_of_group
from engine.evaluate import EMITTED, advance_clock, apply_inputs, complete_clock
from engine.growth import enlarged_state
from engine.hashing import stable_hashes
from engine.inputs import Inputs, Snapshot
from engine.plan import Int32s, Int64s, Lists, Plan, series_of
from engine.pools import IN_USE, NONE
from engine.rest import members_at_rest
from engine.reviews import (
    admit_unknown_users,
    review_known_users,
    review_recalled_users,
    switch_moved_users,
)
from engine.state import (
    AHEAD,
    AHEAD_BOOK,
    CHANGED,
    CLOCK,
    DONE,
    DUPLICATE,
    ENTRIES_BOOK,
    HOLDING,
    IDS_TOP,
    IN_FORCE,
    LATE,
    LIVE,
    MATCHED,
    MEMBERS_BOOK,
    MORE_TRANSITIONS,
    NEVER,
    RELEASED,
    SERIES_BOOK,
    TIMERS,
    TRACKING,
    TRANSITIONS,
    USERS_LIVE,
    USERS_TOP,
    State,
    new_state,
    records,
)
from engine.texts import Texts, read_only
from engine.transitions import NO_TRANSITIONS, Cause, Transitions, transitions_of
from engine.users import find_users

# Transitions that the kernels may collect before they are carried off.
_EMITTED_ROWS = 2048

_NO_TEXTS = Texts.of([])
_NO_AUDIENCES = np.empty(0, dtype=np.int32)

# State is rebuilt compactly when less than a quarter of what it holds is in use, unless it is
# small anyway.
_COMPACT_SHARE = 4
_COMPACT_MIN_BYTES = 1 << 17


class Counts(NamedTuple):
    """What became of the tallied inputs since the group began."""

    matched: int
    duplicate: int
    late: int
    ahead: int  # dated later than their arrival; these are among the others as well


class Member(NamedTuple):
    user_id: str
    audience: str
    sequence: int


class Memberships(NamedTuple):
    """Of `ids`, user `users[i]` is in the audience of number `audiences[i]` in the plan."""

    ids: Texts
    users: Int64s
    audiences: Int32s


class KeyGroup:
    """The memberships of one key group; `group` is its number, or `None` for all users.

    Events up to `missed_until` have been missed: they happened before the plan came.
    """

    def __init__(self, plan: Plan, group: int | None = None, missed_until: int = ALWAYS) -> None:
        self.plan = plan
        self._group = group
        self._state = new_state(plan.word_count, plan.arrays.truths_at_rest.size)
        self._snapshot = Snapshot.empty(plan.word_count).frozen()
        self._last_dump = b""  # its checksum
        audiences = len(plan.audiences)
        self._agenda = Agenda(
            np.empty(audiences + 1, dtype=np.int32),
            np.zeros(1, dtype=np.int64),
            np.zeros(audiences, dtype=np.int8),
            np.zeros(audiences, dtype=np.int8),
            np.zeros(audiences, dtype=np.int64),
        )
        self._emitted = records(audiences + _EMITTED_ROWS, EMITTED)
        self._held = np.empty(0, dtype=np.int32)
        self._exact_from = tuple(
            ALWAYS if missed_until == ALWAYS else missed_until + condition.window
            for condition in plan.conditions
        )
        self._has_new_meanings = False  # since the last dump

    def apply(self, inputs: Inputs) -> Transitions:
        """Apply events of this group's users, in their order."""
        return self._apply(inputs, is_recalled=False)

    def recall(self, inputs: Inputs) -> Transitions:
        """Count events that happened before, for conditions that are `warming`, in any order.

        Those that are counted already change nothing.  Nobody enters or exits because of them
        before `end_recall`; returned is what fell due by the clock.
        """
        return self._apply(inputs, is_recalled=True)

    def _apply(self, inputs: Inputs, *, is_recalled: bool) -> Transitions:
        inputs = inputs.frozen()
        cursor = np.zeros(1, dtype=np.int64)
        arrays = self.plan.arrays
        return self._drive(
            lambda: apply_inputs(
                arrays,
                self._state,
                self._snapshot,
                inputs,
                is_recalled,
                cursor,
                self._agenda,
                self._emitted,
            ),
            inputs.message_ids,
        )

    def end_recall(self, known_since: Mapping[int, int], at: int) -> Transitions:
        """Judge what has been recalled, just before an instant: its own inputs are still to come.

        The audiences concerned are evaluated for everybody, and the difference is emitted (cause
        `definition_changed`); those that are `held` go on waiting.

        Args:
            known_since: For numbers of conditions, the instant after which no event is missing
                that they count; what came before it may not have been recalled.
        """
        clock = max(at, int(self._state.numbers[CLOCK]))
        exact_from = list(self._exact_from)
        for condition, since in known_since.items():
            instant = since + self.plan.conditions[condition].window
            exact_from[condition] = (
                min(instant, exact_from[condition]) if instant > clock else ALWAYS
            )
        self._exact_from = tuple(exact_from)
        self._has_new_meanings = True
        if not self.in_force:
            return NO_TRANSITIONS
        audiences = self._reading_events_of(known_since)
        arrays = self.plan.arrays
        cursor = np.zeros(1, dtype=np.int64)
        transitions = self._drive(
            lambda: review_recalled_users(
                arrays, self._state, audiences, at, cursor, self._agenda, self._emitted
            )
        )
        self._state.numbers[CLOCK] = clock
        return transitions

    def _reading_events_of(self, conditions: Collection[int]) -> Int32s:
        """The audiences that look at a condition of the same events as one of these."""
        readers = self.plan.arrays.readers
        found = {
            audience
            for counting in series_of(self.plan.conditions)
            if not set(counting).isdisjoint(conditions)
            for one in counting
            for audience in readers.items[readers.starts[one] : readers.starts[one + 1]].tolist()
        }
        return np.array(sorted(found), dtype=np.int32)

    def advance(self, to: int) -> Transitions:
        """Bring the clock to `to`: everything due before it happens.

        What ages out exactly at `to` waits for the next input at that instant, or for a later
        tick, so that an event and an ageing of one instant are judged together.
        """
        if self.due >= to:
            numbers = self._state.numbers
            numbers[CLOCK] = max(to, int(numbers[CLOCK]))
            return NO_TRANSITIONS
        arrays = self.plan.arrays
        transitions = self._drive(
            lambda: advance_clock(arrays, self._state, to, self._agenda, self._emitted)
        )
        self._compact_if_wasteful()
        return transitions

    def take_force(self, snapshot: Snapshot, at: int) -> Transitions:
        """Let a warehouse snapshot take force at an instant.

        The first one populates the audiences (cause `initial`): from now on users are evaluated.
        Later ones move those whose predicates have changed (cause `warehouse_pull`).

        With it the definitions take force of the audiences that are `held`: everybody is evaluated
        in them, and the difference to their members so far is emitted (cause `definition_changed`).
        """
        transitions = self._walk(snapshot.frozen(), at, self._held)
        numbers = self._state.numbers
        numbers[IN_FORCE] = 1
        numbers[HOLDING] = 0
        numbers[CLOCK] = max(at, int(numbers[CLOCK]))
        self._held = self._held[:0]
        return transitions

    def switch(
        self,
        snapshot: Snapshot,
        at: int,
        before: Snapshot | None,
        moved: Difference | None = None,
    ) -> Transitions:
        """Let a later snapshot take force at an instant, for those alone who moved.

        It does what `take_force` does, at the cost of the users who moved and of a look at the
        rows of both snapshots; but audiences that are `held` go on waiting.

        Args:
            before: The snapshot in force until now, its bits those of the same predicates; `None`
                if it is not at hand, and everybody has to be looked at.
            moved: What differs between them, where that is known already.
        """
        assert self.in_force
        snapshot = snapshot.frozen()
        if before is None:
            transitions = self._walk(snapshot, at, _NO_AUDIENCES)
            self._state.numbers[CLOCK] = max(at, int(self._state.numbers[CLOCK]))
            return transitions
        old = before.frozen()
        parts = [self.advance(at)]
        if moved is None:
            moved = difference_of_group(old, snapshot, self._group)
        self._snapshot = snapshot
        arrays = self.plan.arrays
        at_rest = members_at_rest(arrays, snapshot.patterns)
        for listing, rows in ((old, moved.gone), (snapshot, moved.moved)):
            parts.append(self._switch_rows(snapshot, at, listing, rows, at_rest))
        # Whoever has not moved is judged at this instant, too: an event of the same is yet to come.
        parts.append(
            self._drive(lambda: complete_clock(arrays, self._state, self._agenda, self._emitted))
        )
        return Transitions.concatenated([part for part in parts if len(part)])

    def _switch_rows(
        self, snapshot: Snapshot, at: int, listing: Snapshot, rows: Int64s, at_rest: Lists
    ) -> Transitions:
        cursor = np.zeros(1, dtype=np.int64)
        rows = read_only(rows)
        return self._drive(
            lambda: switch_moved_users(
                self.plan.arrays,
                self._state,
                snapshot,
                listing,
                rows,
                listing is snapshot,
                at_rest,
                _NO_AUDIENCES,
                at,
                int(Cause.WAREHOUSE_PULL),
                cursor,
                self._agenda,
                self._emitted,
            )
        )

    def _walk(self, snapshot: Snapshot, at: int, held: Int32s) -> Transitions:
        """Give everybody the snapshot's bits, and the audiences `held` their definitions."""
        cause = Cause.WAREHOUSE_PULL if self._state.numbers[IN_FORCE] else Cause.INITIAL
        self._snapshot = snapshot
        arrays = self.plan.arrays
        cursor = np.zeros(1, dtype=np.int64)
        known = self._drive(
            lambda: review_known_users(
                arrays,
                self._state,
                snapshot,
                held,
                at,
                int(cause),
                cursor,
                self._agenda,
                self._emitted,
            )
        )
        at_rest = members_at_rest(arrays, snapshot.patterns)
        first, end = rows_of_group(snapshot, self._group)
        cursor = np.array([first], dtype=np.int64)
        unknown = self._drive(
            lambda: admit_unknown_users(
                arrays,
                self._state,
                snapshot,
                at_rest,
                held,
                end,
                at,
                int(cause),
                cursor,
                self._agenda,
                self._emitted,
            )
        )
        return Transitions.concatenated([known, unknown])

    @property
    def due(self) -> int:
        """An instant before which time alone changes nothing."""
        return int(self._state.timers["due"][0]) if self._state.numbers[TIMERS] else NEVER

    @property
    def in_force(self) -> bool:
        """Whether a snapshot has taken force."""
        return bool(self._state.numbers[IN_FORCE])

    @property
    def held(self) -> list[str]:
        """Audiences whose changed definitions are to take force: `take_force` has to be called.

        Until then their members are those of the definitions before.
        """
        return [self.plan.audiences[number].key for number in self._held]

    @property
    def warming(self) -> dict[str, int]:
        """Conditions that do not know all that they should, and from when on they will.

        They count what is known.
        """
        return {
            condition.key: exact_from
            for condition, exact_from in zip(self.plan.conditions, self._exact_from, strict=True)
            if exact_from > self._state.numbers[CLOCK]
        }

    @property
    def counts(self) -> Counts:
        numbers = self._state.numbers
        return Counts(
            int(numbers[MATCHED]),
            int(numbers[DUPLICATE]),
            int(numbers[LATE]),
            int(numbers[AHEAD]),
        )

    @property
    def user_count(self) -> int:
        """Users of whom anything is remembered."""
        return int(self._state.numbers[USERS_LIVE])

    @property
    def size_bytes(self) -> int:
        """Memory of the state's arrays, spare cells included."""
        return self._state.size_bytes

    def members(self) -> list[Member]:
        """Everybody who is in an audience now, by user and audience."""
        columns = to_columns(self._state)
        users = np.repeat(np.arange(columns.users), columns.member_counts)
        inside = np.flatnonzero(columns.member_sequences & 1)
        return sorted(
            Member(
                columns.ids.text(int(users[cell])),
                self.plan.audiences[int(columns.member_audiences[cell])].key,
                int(columns.member_sequences[cell]),
            )
            for cell in inside
        )

    def memberships(self) -> Memberships:
        """The same for many: everybody who is known, and who is in which audience."""
        columns = to_columns(self._state)
        users = np.repeat(np.arange(columns.users), columns.member_counts)
        inside = np.flatnonzero(columns.member_sequences & 1)
        return Memberships(columns.ids, users[inside], columns.member_audiences[inside])

    def apart(self, user_ids: Sequence[str]) -> KeyGroup:
        """Those of these users of whom anything is remembered, as a group that goes its own way."""
        ids = Texts.of(user_ids).frozen()
        numbers = np.empty(len(user_ids), dtype=np.int64)
        find_users(self._state, stable_hashes(ids), ids, numbers)
        chosen = np.unique(numbers[numbers != NONE])
        other = KeyGroup(self.plan, self._group)
        other._state = from_columns(self.plan, columns_of(self._state, chosen))
        other._snapshot = self._snapshot
        other._held = self._held
        hold_back(other._agenda, other._held)
        return other

    def dump(self) -> bytes:
        """The whole state.  Differences are counted from here on."""
        data = codec.encode(self._meanings(), to_columns(self._state))
        self._start_tracking(data)
        return data

    @property
    def has_dump(self) -> bool:
        """Whether there was a dump of this plan's state, which a difference can refer to."""
        return bool(self._state.numbers[TRACKING])

    def dump_changes(self) -> bytes:
        """What has changed since the last dump of either kind; to be loaded on top of it.

        Raises:
            ValueError: there was no dump that the difference could refer to.
        """
        if not self.has_dump:
            raise ValueError("a difference needs a complete dump before it")
        meanings = self._meanings() if self._has_new_meanings else None
        data = codec.encode(meanings, to_columns(self._state, CHANGED), self._last_dump)
        self._start_tracking(data)
        return data

    def _meanings(self) -> Meanings:
        return Meanings.of(self.plan, self._exact_from, tuple(self._held.tolist()))

    @classmethod
    def load(
        cls,
        plan: Plan,
        dump: bytes,
        *changes: bytes,
        snapshot: Snapshot | None = None,
        group: int | None = None,
        clock: int = ALWAYS,
    ) -> KeyGroup:
        """Go on from a dump and the differences that followed it, in their order.

        The state may be that of other definitions (see `engine.carrying`): audiences that do not
        mean what they meant are then `held`, and the next dump has to be a complete one.

        Args:
            snapshot: The snapshot in force when the state was dumped, for users yet to come.
            clock: What the group's clock had reached, if nothing was dumped of its last move
                because nothing was due.

        Raises:
            engine.codec.DamagedState: bytes are damaged, of another format, or out of order.
            engine.codec.ForeignState: the state is that of another parent model's users.
        """
        stored, columns = codec.decode(dump, *changes)
        if stored.parent_model != plan.parent_model:
            raise codec.ForeignState(
                f"the state is of '{stored.parent_model}', not of '{plan.parent_model}'"
            )
        columns = columns.with_clock(clock)
        is_carried = stored.plan != plan.version
        if is_carried:
            carried = carry(stored, columns, plan)
        else:
            held = stored.held if columns.holding else ()
            carried = Carried(columns, stored.exact_from, held)
        restored = cls(plan, group)
        restored._state = from_columns(plan, carried.columns)
        restored._exact_from = carried.exact_from
        restored._held = np.array(carried.held, dtype=np.int32)
        hold_back(restored._agenda, restored._held)
        if snapshot is not None:
            restored._snapshot = snapshot.frozen()
        if not is_carried:
            restored._start_tracking(changes[-1] if changes else dump)
        return restored

    def _start_tracking(self, dump: bytes) -> None:
        self._last_dump = codec.checksum(dump)
        self._has_new_meanings = False
        self._state.users["marks"][: self._state.numbers[USERS_TOP]] &= ~np.int8(CHANGED)
        self._state.numbers[RELEASED] = 0
        self._state.numbers[TRACKING] = 1

    def _drive(self, step: Callable[[], int], message_ids: Texts = _NO_TEXTS) -> Transitions:
        """Run a kernel to its end, making room whenever it asks."""
        parts = []
        while (need := step()) != DONE:
            if need == MORE_TRANSITIONS:
                parts.append(self._carry_off(message_ids))
            else:
                self._state = enlarged_state(self._state, need)
        if self._state.numbers[TRANSITIONS]:
            parts.append(self._carry_off(message_ids))
        return Transitions.concatenated(parts)

    def _carry_off(self, message_ids: Texts) -> Transitions:
        count = int(self._state.numbers[TRANSITIONS])
        self._state.numbers[TRANSITIONS] = 0
        return transitions_of(self._emitted[:count], self._state, message_ids)

    def _compact_if_wasteful(self) -> None:
        """Rebuild the arrays without their free cells once most of them are free."""
        held = self._state.size_bytes
        if held >= _COMPACT_MIN_BYTES and _COMPACT_SHARE * _used_bytes(self._state) < held:
            self._state = self._compacted()

    def _compacted(self) -> State:
        old = self._state
        flags = old.users["marks"][: old.numbers[USERS_TOP]]
        state = from_columns(self.plan, to_columns(old))
        state.users["marks"][:] = flags[(flags & LIVE) != 0]
        for number in (TRACKING, RELEASED):
            state.numbers[number] = old.numbers[number]
        return state._replace(released=old.released)


def _used_bytes(state: State) -> int:
    """About how much of `State.size_bytes` the live users and their cells need."""
    live = int(state.numbers[USERS_LIVE])
    used: int = live * (state.users.itemsize + 8 * (state.words.shape[1] + state.truths.shape[1]))
    used += int(state.numbers[IDS_TOP]) * live // max(int(state.numbers[USERS_TOP]), 1)
    for book, pool in (
        (SERIES_BOOK, state.series),
        (ENTRIES_BOOK, state.entries),
        (MEMBERS_BOOK, state.members),
        (AHEAD_BOOK, state.ahead),
    ):
        used += int(state.books[book, IN_USE]) * pool.itemsize
    return used
