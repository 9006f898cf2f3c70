"""Every decision of the core: which transitions an input or a tick causes.

One rule orders everything: *an instant is complete before it is judged*.  To bring a user to
clock t, whatever falls due before t is applied instant by instant, and the audiences concerned
are evaluated after each.  Then what ages out exactly at t and the input itself are applied
together, and the tree is evaluated once.  A tick at t only lets due what lies before t: what ages
out exactly at t waits for the next input at t, or for the clock to pass.  Hence the result
depends on the inputs alone and never on batching, timers or workers.

An audience is evaluated only if something that it looks at has flipped.  It waits for that in the
`Agenda`, together with the cause that a transition would have.

Kernels never allocate.  They return the number of the array that is too small (`MORE_…`) before
they begin a step, and go on from their `cursor` when called again.
"""

from __future__ import annotations

import numpy as np

from engine.agenda import (
    Agenda,
    forget,
    mark,
    mark_readers,
    next_audience,
)
from engine.ahead import ahead_due, counting_instant, forget_ahead
from engine.compiled import kernel
from engine.inputs import Inputs, Snapshot
from engine.members import is_member, turn
from engine.plan import (
    ACCEPT,
    AUDIENCE,
    EVENT,
    Bytes,
    Int64s,
    PlanArrays,
)
from engine.pools import NONE
from engine.rings import NOWHERE, contains, insert, ring_of
from engine.room import room_for_input, room_for_instant
from engine.series import (
    add_series,
    age,
    empty_at,
    find_series,
    flip,
    holds,
    judge,
    remove_series,
)
from engine.state import (
    CHANGED,
    CLOCK,
    DONE,
    DUPLICATE,
    FRESH,
    IN_FORCE,
    LATE,
    LIVE,
    MATCHED,
    NEVER,
    SENT,
    TIMERS,
    TRANSITIONS,
    Records,
    State,
)
from engine.timers import arm, pop_user
from engine.transitions import EVENT_CAUSE, WINDOW_CAUSE
from engine.users import add_user, find_in_snapshot, find_user, release_user

# Transitions as they are found; `State.numbers[TRANSITIONS]` rows are in use.
EMITTED = np.dtype(
    [
        ("effective_at", np.int64),
        ("reference", np.int64),
        ("user", np.int32),
        ("audience", np.int32),
        ("sequence", np.int32),
        ("cause", np.int8),
    ],
    align=True,
)


# --- the seven ways in ------------------------------------------------------------------------


@kernel
def apply_inputs(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    inputs: Inputs,
    is_recalled: bool,
    cursor: Int64s,
    agenda: Agenda,
    emitted: Records,
) -> int:
    """Apply the inputs in their order.

    What is recalled has happened before: it is counted, and nobody is evaluated because of it.
    """
    users = state.users
    starts = inputs.users.starts
    data = inputs.users.data
    while cursor[0] < inputs.timestamps.size:
        row = int(cursor[0])
        user_hash = int(inputs.user_hashes[row])
        start = int(starts[row])
        end = int(starts[row + 1])
        user = find_user(state, user_hash, data, start, end)
        need = room_for_input(plan, state, inputs, row, user, end - start)
        if need != DONE:
            return need
        if user == NONE:
            user = add_user(plan, state, user_hash, data, start, end)
            look_up(plan, state, snapshot, user, user_hash, data, start, end)
        clock = max(int(inputs.arrivals[row]), int(users.clock[user]), int(state.numbers[CLOCK]))
        need = settle(plan, state, agenda, emitted, user, clock)
        if need != DONE:
            return need
        if is_recalled:
            # What ages out exactly at the clock is still to come, with the next input or tick.
            users.clock[user] = max(int(users.clock[user]), clock - 1)
            _count(plan, state, agenda, inputs, row, user, int(users.clock[user]))
            forget(agenda)
        else:
            users.clock[user] = clock
            _apply_input(plan, state, agenda, inputs, row, user, clock)
            if state.numbers[IN_FORCE]:
                evaluate(plan, state, agenda, emitted, user, clock)
        put_to_rest(plan, state, user)
        cursor[0] += 1
    return DONE


@kernel
def advance_clock(plan: PlanArrays, state: State, to: int, agenda: Agenda, emitted: Records) -> int:
    """Let happen what falls due before `to`."""
    state.numbers[CLOCK] = max(to, int(state.numbers[CLOCK]))
    return _let_happen(plan, state, to, agenda, emitted)


@kernel
def complete_clock(plan: PlanArrays, state: State, agenda: Agenda, emitted: Records) -> int:
    """Let happen what falls due at the very instant that the clock has reached, too."""
    return _let_happen(plan, state, int(state.numbers[CLOCK]) + 1, agenda, emitted)


@kernel
def _let_happen(plan: PlanArrays, state: State, to: int, agenda: Agenda, emitted: Records) -> int:
    """Apply what falls due before `to`, user by user."""
    while state.numbers[TIMERS] > 0 and state.timers.due[0] < to:
        user = int(state.timers.user[0])
        need = room_for_instant(plan, state, emitted, user)
        if need != DONE:
            return need
        if pop_user(state) == NONE:
            continue
        due = int(state.users.due[user])
        if due < to:
            _age_at(plan, state, agenda, emitted, user, due)
        put_to_rest(plan, state, user)
    return DONE


@kernel
def settle(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, clock: int
) -> int:
    """Apply what falls due before `clock`, one instant after the other.

    There is room for the instant `clock` then, too; or what is needed is returned.
    """
    while state.users.due[user] < clock:
        need = room_for_instant(plan, state, emitted, user)
        if need != DONE:
            return need
        _age_at(plan, state, agenda, emitted, user, int(state.users.due[user]))
    return room_for_instant(plan, state, emitted, user)


@kernel
def _age_at(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, instant: int
) -> None:
    expire(plan, state, agenda, user, instant)
    if state.numbers[IN_FORCE]:
        evaluate(plan, state, agenda, emitted, user, instant)


@kernel
def expire(plan: PlanArrays, state: State, agenda: Agenda, user: int, instant: int) -> None:
    """Age the series that are due at `instant`, and find when the user is due next.

    Events mostly postpone what is due, and a user's `due` is then only kept from being too late.
    It becomes exact here, when the clock has reached it.
    """
    users = state.users
    series = state.series
    users.marks[user] |= CHANGED
    due = NEVER
    start = int(users.series[user])
    for cell in range(start + int(users.series_count[user]) - 1, start - 1, -1):
        if series.due[cell] <= instant:
            age(plan, state, cell, instant)
            _judge_series(plan, state, agenda, user, cell, instant, NOWHERE, NONE)
            if series.count[cell] == 0:
                remove_series(state, user, cell)
                continue
        due = min(due, int(series.due[cell]))
    if users.ahead[user] != NONE:
        forget_ahead(plan, state, user, instant)
        due = min(due, ahead_due(plan, state, user))
    users.due[user] = due


@kernel
def _judge_series(
    plan: PlanArrays,
    state: State,
    agenda: Agenda,
    user: int,
    cell: int,
    clock: int,
    rank: int,
    row: int,
) -> None:
    """Look at the conditions of a series anew, and mark the audiences that may care.

    The event of input `row` has just taken its `rank`.  It is the cause of what would not have
    changed without it.
    """
    number = int(state.series.number[cell])
    ring = ring_of(state, cell)
    due = empty_at(plan, state, ring, number)
    for position in range(int(plan.series.first[number]), int(plan.series.end[number])):
        condition = int(plan.conditions.number[position])
        truth, until = judge(plan, state, ring, position, clock, NOWHERE)
        due = min(due, until)
        if truth == holds(state, user, condition):
            continue
        flip(state, user, condition)
        aged, _ = judge(plan, state, ring, position, clock, rank)
        if aged != truth:
            mark_readers(plan, state, agenda, condition, EVENT_CAUSE, row)
        else:
            mark_readers(plan, state, agenda, condition, WINDOW_CAUSE, condition)
    state.series.due[cell] = due


@kernel
def _apply_input(
    plan: PlanArrays,
    state: State,
    agenda: Agenda,
    inputs: Inputs,
    row: int,
    user: int,
    clock: int,
) -> None:
    """Count one event in the series of its conditions, at `clock`, and age the others."""
    users = state.users
    became = _count(plan, state, agenda, inputs, row, user, clock)
    if inputs.tallied[row]:
        state.numbers[became] += 1
    if users.due[user] <= clock:
        expire(plan, state, agenda, user, clock)
    if state.numbers[IN_FORCE] and users.marks[user] & FRESH:
        users.marks[user] = LIVE | CHANGED | SENT
        for position in range(plan.absent_members.size):
            mark(agenda, int(plan.absent_members[position]), EVENT_CAUSE, row)


@kernel
def _count(
    plan: PlanArrays,
    state: State,
    agenda: Agenda,
    inputs: Inputs,
    row: int,
    user: int,
    clock: int,
) -> int:
    """Count one event in the series of its conditions: MATCHED, or else DUPLICATE or LATE."""
    users = state.users
    recorded = int(inputs.timestamps[row])
    arrival = int(inputs.arrivals[row])
    event_id = int(inputs.message_hashes[row])
    timestamp = recorded
    due = int(users.due[user])
    if recorded > arrival or users.ahead[user] != NONE:
        timestamp = counting_instant(state, user, recorded, event_id, arrival)
        due = min(due, recorded + plan.longest_window)
    users.marks[user] |= CHANGED | SENT
    became = LATE
    conditions = int(inputs.condition_sets[row])
    nearby = 0
    for position in range(
        int(inputs.sets.starts[conditions]), int(inputs.sets.starts[conditions + 1])
    ):
        number = int(plan.leads[int(inputs.sets.items[position])])
        if number == NONE or timestamp + plan.series.window[number] <= clock:
            continue
        cell = find_series(state, user, number, nearby)
        if cell < 0:
            cell = add_series(state, user, number, -1 - cell)
        else:
            age(plan, state, cell, clock)
        rank = NOWHERE
        if timestamp == recorded or not contains(state, cell, recorded, event_id):
            # Events recorded at different instants stay different where they count at the same one.
            counted_id = event_id if timestamp == recorded else event_id ^ recorded
            capacity = int(plan.series.capacity[number])
            rank = insert(state, cell, capacity, timestamp, counted_id)
        if rank != NOWHERE:
            became = MATCHED
        elif became == LATE:
            became = DUPLICATE
        _judge_series(plan, state, agenda, user, cell, clock, rank, row)
        due = min(due, int(state.series.due[cell]))
        nearby = cell + 1 - int(users.series[user])
    users.due[user] = due
    return became


@kernel
def look_up(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    user: int,
    user_hash: int,
    data: Bytes,
    start: int,
    end: int,
) -> None:
    """Give a user the warehouse's answers; a user it knows is no stranger and not FRESH."""
    words = state.words
    row = find_in_snapshot(snapshot, user_hash, data, start, end)
    if row == NONE:
        for word in range(words.shape[1]):
            words[user, word] = plan.absent_words[word]
        return
    pattern = int(snapshot.pattern_of[row])
    for word in range(words.shape[1]):
        words[user, word] = snapshot.patterns[pattern, word]
    if state.numbers[IN_FORCE]:
        state.users.marks[user] = LIVE | CHANGED


@kernel
def put_to_rest(plan: PlanArrays, state: State, user: int) -> None:
    """Set the user's timer, or forget a user of whom nothing is left.

    Nothing is left of a user without series and without memberships, once the group's clock has
    caught up with the user's: from then on the user is as good as a stranger.  Unless strangers
    may be members merely by having been seen: then those who were seen are kept, for the warehouse
    may know them now and not later.
    """
    users = state.users
    if users.series_count[user] == 0 and users.ahead[user] == NONE:
        users.due[user] = NEVER
        remembered = users.marks[user] & SENT and plan.absent_members.size > 0
        if users.members_count[user] == 0 and not remembered:
            if users.clock[user] <= state.numbers[CLOCK]:
                release_user(state, user)
                return
            users.due[user] = users.clock[user]
    arm(state, user)


# --- audiences --------------------------------------------------------------------------------


@kernel
def evaluate(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, instant: int
) -> None:
    """Evaluate what is on the agenda and write down who entered and who exited."""
    while agenda.length[0] > 0:
        audience = next_audience(agenda)
        agenda.waiting[audience] = 0
        belongs = not state.users.marks[user] & FRESH and _decide(plan, state, user, audience)
        if belongs == is_member(state, user, audience):
            continue
        row = int(state.numbers[TRANSITIONS])
        state.numbers[TRANSITIONS] += 1
        emitted.user[row] = user
        emitted.audience[row] = audience
        emitted.effective_at[row] = instant
        emitted.sequence[row] = turn(state, user, audience)
        emitted.cause[row] = agenda.cause[audience]
        emitted.reference[row] = agenda.reference[audience]
        dependents = plan.dependents
        for position in range(
            int(dependents.starts[audience]), int(dependents.starts[audience + 1])
        ):
            dependent = int(dependents.items[position])
            mark(agenda, dependent, int(agenda.cause[audience]), int(agenda.reference[audience]))


@kernel
def _decide(plan: PlanArrays, state: State, user: int, audience: int) -> bool:
    """Walk the audience's decision graph."""
    leaf = int(plan.entry[audience])
    while leaf >= 0:
        operand = int(plan.leaves.operand[leaf])
        if plan.leaves.kind[leaf] == EVENT:
            truth = holds(state, user, operand)
        elif plan.leaves.kind[leaf] == AUDIENCE:
            truth = is_member(state, user, operand)
        else:
            truth = bool((int(state.words[user, operand >> 6]) >> (operand & 63)) & 1)
        leaf = int(plan.leaves.if_true[leaf]) if truth else int(plan.leaves.if_false[leaf])
    return leaf == ACCEPT


# --- room: what the next step could need at most -----------------------------------------------
