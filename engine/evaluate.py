"""Every decision of the core: which transitions an input, a tick or a snapshot causes.

One rule orders everything: *an instant is complete before it is judged*.  To bring a user to
clock t, whatever falls due before t is applied instant by instant, and the audiences concerned
are evaluated after each.  Then what ages out exactly at t and the input itself are applied
together, and the tree is evaluated once.  A tick at t only lets due what lies before t: what ages
out exactly at t waits for the next input at t, or for the clock to pass.  Hence the result
depends on the inputs alone and never on batching, timers or workers.

An audience is evaluated only if something that it looks at has flipped.  Audiences that are to be
evaluated wait in the `Agenda`, together with the cause that a transition would have; they are
taken in ascending order, so that an audience comes after those that it refers to.

Kernels never allocate.  They return the number of the array that is too small (`MORE_…`) before
they begin a step, and go on from their `cursor` when called again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.ahead import ahead_due, counting_instant, forget_ahead
from engine.compiled import kernel
from engine.inputs import Inputs, Snapshot
from engine.members import is_member, turn
from engine.plan import (
    ACCEPT,
    AUDIENCE,
    EVENT,
    Bytes,
    Int8s,
    Int32s,
    Int64s,
    Lists,
    PlanArrays,
)
from engine.pools import NONE, TOP
from engine.rings import NOWHERE, cells_to_enlarge, contains, insert, ring_of
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
    AHEAD_BOOK,
    CHANGED,
    CLOCK,
    DONE,
    DUPLICATE,
    ENTRIES_BOOK,
    FRESH,
    IDS_TOP,
    IN_FORCE,
    LATE,
    LIVE,
    MATCHED,
    MEMBERS_BOOK,
    MORE_AHEAD,
    MORE_ENTRIES,
    MORE_IDS,
    MORE_MEMBERS,
    MORE_RELEASED,
    MORE_SERIES,
    MORE_TIMERS,
    MORE_TRANSITIONS,
    MORE_USERS,
    NEVER,
    RELEASED,
    SENT,
    SERIES_BOOK,
    TIMERS,
    TRANSITIONS,
    USERS_FREE,
    USERS_LIVE,
    USERS_TOP,
    Records,
    State,
)
from engine.timers import arm, pop_user
from engine.transitions import DEFINITION_CAUSE, EVENT_CAUSE, WINDOW_CAUSE
from engine.users import add_user, find_in_snapshot, find_user, release_user


class Agenda(NamedTuple):
    """Audiences to be evaluated at the present instant: a binary heap, smallest number first."""

    queue: Int32s
    length: Int64s  # one cell
    waiting: Int8s  # per audience: 1 while it is in the queue
    cause: Int8s  # per audience: cause of the transition that may come
    reference: Int64s  # row of the event, or number of the condition that expired


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
        need = _room_for_input(plan, state, inputs, row, user, end - start)
        if need != DONE:
            return need
        if user == NONE:
            user = add_user(plan, state, user_hash, data, start, end)
            _look_up(plan, state, snapshot, user, user_hash, data, start, end)
        clock = max(int(inputs.arrivals[row]), int(users.clock[user]), int(state.numbers[CLOCK]))
        need = _settle(plan, state, agenda, emitted, user, clock)
        if need != DONE:
            return need
        need = _room_for_instant(plan, state, emitted, user)
        if need != DONE:
            return need
        if is_recalled:
            # What ages out exactly at the clock is still to come, with the next input or tick.
            users.clock[user] = max(int(users.clock[user]), clock - 1)
            _count(plan, state, agenda, inputs, row, user, int(users.clock[user]))
            _forget(agenda)
        else:
            users.clock[user] = clock
            _apply_input(plan, state, agenda, inputs, row, user, clock)
            if state.numbers[IN_FORCE]:
                _evaluate(plan, state, agenda, emitted, user, clock)
        _rest(plan, state, user)
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
def review_known_users(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    held: Int32s,
    at: int,
    cause: int,
    cursor: Int64s,
    agenda: Agenda,
    emitted: Records,
) -> int:
    """Give every known user the snapshot's bits, in force from `at`.

    With the first snapshot everybody is evaluated in full; later, those whose bits have changed.
    The audiences `held` back so far are evaluated for everybody, and are to be let go.
    """
    users = state.users
    while cursor[0] < state.numbers[USERS_TOP]:
        user = int(cursor[0])
        if users.marks[user] & LIVE:
            need = _review(plan, state, snapshot, held, at, cause, agenda, emitted, user)
            if need != DONE:
                return need
        cursor[0] += 1
    return DONE


@kernel
def review_recalled_users(
    plan: PlanArrays,
    state: State,
    audiences: Int32s,
    at: int,
    cursor: Int64s,
    agenda: Agenda,
    emitted: Records,
) -> int:
    """Evaluate everybody in the audiences whose conditions have been given their past.

    Who has become known by it alone is evaluated in all audiences that hold for strangers, too.
    What ages out exactly at the clock is still to come, together with the inputs of that instant.
    """
    users = state.users
    while cursor[0] < state.numbers[USERS_TOP]:
        user = int(cursor[0])
        if users.marks[user] & LIVE:
            clock = max(int(users.clock[user]), max(at, int(state.numbers[CLOCK])) - 1)
            need = _settle(plan, state, agenda, emitted, user, clock)
            if need != DONE:
                return need
            need = _room_for_instant(plan, state, emitted, user)
            if need != DONE:
                return need
            users.clock[user] = clock
            _expire(plan, state, agenda, user, clock)
            _mark_others(agenda, audiences, DEFINITION_CAUSE)
            if users.marks[user] & FRESH and users.marks[user] & SENT:
                users.marks[user] = LIVE | CHANGED | SENT
                _mark_others(agenda, plan.absent_members, DEFINITION_CAUSE)
            _evaluate(plan, state, agenda, emitted, user, clock)
            _rest(plan, state, user)
        cursor[0] += 1
    return DONE


@kernel
def admit_unknown_users(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    members_at_rest: Lists,
    held: Int32s,
    end: int,
    at: int,
    cause: int,
    cursor: Int64s,
    agenda: Agenda,
    emitted: Records,
) -> int:
    """Enter users of the snapshot who qualify without ever having sent an event.

    `members_at_rest` names, for each of the snapshot's patterns, the audiences that hold for it
    with empty windows.  Users of whom none is named stay unknown and cost nothing.  Those that were
    `held` back are entered because of their definition.
    """
    starts = snapshot.users.starts
    _let_go(agenda, held)
    while cursor[0] < end:
        row = int(cursor[0])
        user = find_user(
            state,
            int(snapshot.hashes[row]),
            snapshot.users.data,
            int(starts[row]),
            int(starts[row + 1]),
        )
        if user == NONE:
            need = _admit(
                plan, state, snapshot, members_at_rest, held, at, cause, agenda, emitted, row
            )
            if need != DONE:
                return need
        cursor[0] += 1
    return DONE


@kernel
def switch_moved_users(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    listing: Snapshot,
    rows: Int64s,
    is_listed: bool,
    members_at_rest: Lists,
    held: Int32s,
    at: int,
    cause: int,
    cursor: Int64s,
    agenda: Agenda,
    emitted: Records,
) -> int:
    """Give the users of some rows of `listing` the bits of `snapshot`, in force from `at`.

    Known users are reviewed.  Unknown ones are admitted if the snapshot is their listing
    (`is_listed`); else they are gone, and nothing was known of them.
    """
    starts = listing.users.starts
    while cursor[0] < rows.size:
        row = int(rows[cursor[0]])
        user = find_user(
            state,
            int(listing.hashes[row]),
            listing.users.data,
            int(starts[row]),
            int(starts[row + 1]),
        )
        need = DONE
        if user != NONE:
            need = _review(plan, state, snapshot, held, at, cause, agenda, emitted, user)
        elif is_listed:
            need = _admit(
                plan, state, snapshot, members_at_rest, held, at, cause, agenda, emitted, row
            )
        if need != DONE:
            return need
        cursor[0] += 1
    return DONE


# --- one user, one snapshot -------------------------------------------------------------------


@kernel
def _review(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    held: Int32s,
    at: int,
    cause: int,
    agenda: Agenda,
    emitted: Records,
    user: int,
) -> int:
    """Give a known user the snapshot's bits, and evaluate what that may change."""
    users = state.users
    clock = max(at, int(users.clock[user]), int(state.numbers[CLOCK]))
    need = _settle(plan, state, agenda, emitted, user, clock)
    if need != DONE:
        return need
    need = _room_for_instant(plan, state, emitted, user)
    if need != DONE:
        return need
    users.clock[user] = clock
    _let_go(agenda, held)
    _mark_all(agenda, held, DEFINITION_CAUSE)
    _expire(plan, state, agenda, user, clock)
    _take_bits(plan, state, snapshot, agenda, user, cause)
    _evaluate(plan, state, agenda, emitted, user, clock)
    hold_back(agenda, held)
    _rest(plan, state, user)
    return DONE


@kernel
def _admit(
    plan: PlanArrays,
    state: State,
    snapshot: Snapshot,
    members_at_rest: Lists,
    held: Int32s,
    at: int,
    cause: int,
    agenda: Agenda,
    emitted: Records,
    row: int,
) -> int:
    """Enter the unknown user of a row of the snapshot where it qualifies."""
    users = state.users
    pattern = int(snapshot.pattern_of[row])
    first = int(members_at_rest.starts[pattern])
    last = int(members_at_rest.starts[pattern + 1])
    if first == last:
        return DONE
    id_start = int(snapshot.users.starts[row])
    id_end = int(snapshot.users.starts[row + 1])
    need = _room_for_user(state, NONE, id_end - id_start)
    if need == DONE:
        need = _room_for_instant(plan, state, emitted, NONE)
    if need != DONE:
        return need
    user = add_user(plan, state, int(snapshot.hashes[row]), snapshot.users.data, id_start, id_end)
    clock = max(at, int(state.numbers[CLOCK]))
    users.clock[user] = clock
    users.marks[user] = LIVE | CHANGED
    for word in range(snapshot.patterns.shape[1]):
        state.words[user, word] = snapshot.patterns[pattern, word]
    _mark_all(agenda, held, DEFINITION_CAUSE)
    for position in range(first, last):
        _mark(agenda, int(members_at_rest.items[position]), cause, NONE)
    _evaluate(plan, state, agenda, emitted, user, clock)
    _rest(plan, state, user)
    return DONE


# --- one user, one instant --------------------------------------------------------------------


@kernel
def _let_happen(plan: PlanArrays, state: State, to: int, agenda: Agenda, emitted: Records) -> int:
    """Apply what falls due before `to`, user by user."""
    while state.numbers[TIMERS] > 0 and state.timers.due[0] < to:
        user = int(state.timers.user[0])
        need = _room_for_instant(plan, state, emitted, user)
        if need != DONE:
            return need
        if pop_user(state) == NONE:
            continue
        due = int(state.users.due[user])
        if due < to:
            _age_at(plan, state, agenda, emitted, user, due)
        _rest(plan, state, user)
    return DONE


@kernel
def _settle(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, clock: int
) -> int:
    """Apply what falls due before `clock`, one instant after the other."""
    while state.users.due[user] < clock:
        need = _room_for_instant(plan, state, emitted, user)
        if need != DONE:
            return need
        _age_at(plan, state, agenda, emitted, user, int(state.users.due[user]))
    return DONE


@kernel
def _age_at(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, instant: int
) -> None:
    _expire(plan, state, agenda, user, instant)
    if state.numbers[IN_FORCE]:
        _evaluate(plan, state, agenda, emitted, user, instant)


@kernel
def _expire(plan: PlanArrays, state: State, agenda: Agenda, user: int, instant: int) -> None:
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
            _mark_readers(plan, state, agenda, condition, EVENT_CAUSE, row)
        else:
            _mark_readers(plan, state, agenda, condition, WINDOW_CAUSE, condition)
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
        _expire(plan, state, agenda, user, clock)
    if state.numbers[IN_FORCE] and users.marks[user] & FRESH:
        users.marks[user] = LIVE | CHANGED | SENT
        for position in range(plan.absent_members.size):
            _mark(agenda, int(plan.absent_members[position]), EVENT_CAUSE, row)


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
def _look_up(
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
def _take_bits(
    plan: PlanArrays, state: State, snapshot: Snapshot, agenda: Agenda, user: int, cause: int
) -> None:
    """Look the user up again and mark the audiences that look at a bit that has changed."""
    users = state.users
    start = int(users.id_start[user])
    end = start + int(users.id_length[user])
    if not state.numbers[IN_FORCE]:
        _look_up(plan, state, snapshot, user, int(users.hash[user]), state.ids, start, end)
        for audience in range(plan.entry.size):
            _mark(agenda, audience, cause, NONE)
        users.marks[user] = LIVE | CHANGED | (users.marks[user] & SENT)
        return
    row = find_in_snapshot(snapshot, int(users.hash[user]), state.ids, start, end)
    for word in range(state.words.shape[1]):
        old = int(state.words[user, word])
        new = int(plan.absent_words[word])
        if row != NONE:
            new = int(snapshot.patterns[int(snapshot.pattern_of[row]), word])
        state.words[user, word] = new
        changed = old ^ new
        for bit in range(64):
            if (changed >> bit) & 1:
                predicate = 64 * word + bit
                readers = plan.predicate_readers
                for position in range(
                    int(readers.starts[predicate]), int(readers.starts[predicate + 1])
                ):
                    _mark(agenda, int(readers.items[position]), cause, NONE)
    # Somebody gone from the warehouse who has never sent an event cannot be a member any more.
    sent = int(users.marks[user] & SENT)
    was_gone = (users.marks[user] & FRESH) != 0
    is_gone = row == NONE and not sent
    users.marks[user] = LIVE | CHANGED | (FRESH if is_gone else sent)
    if was_gone != is_gone:
        for audience in range(plan.entry.size):
            _mark(agenda, audience, cause, NONE)


@kernel
def _rest(plan: PlanArrays, state: State, user: int) -> None:
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
def hold_back(agenda: Agenda, audiences: Int32s) -> None:
    """Have nobody evaluated in these audiences: what waits already does not get into the queue."""
    for audience in audiences:
        agenda.waiting[audience] = 1


@kernel
def _let_go(agenda: Agenda, audiences: Int32s) -> None:
    for audience in audiences:
        agenda.waiting[audience] = 0


@kernel
def _mark_all(agenda: Agenda, audiences: Int32s, cause: int) -> None:
    for audience in audiences:
        _mark(agenda, int(audience), cause, NONE)


@kernel
def _mark_others(agenda: Agenda, audiences: Int32s, cause: int) -> None:
    """Mark those that do not wait already: what has just aged out remains their cause."""
    for audience in audiences:
        if not agenda.waiting[audience]:
            _mark(agenda, int(audience), cause, NONE)


@kernel
def _mark_readers(
    plan: PlanArrays, state: State, agenda: Agenda, condition: int, cause: int, reference: int
) -> None:
    if state.numbers[IN_FORCE]:
        for position in range(
            int(plan.readers.starts[condition]), int(plan.readers.starts[condition + 1])
        ):
            _mark(agenda, int(plan.readers.items[position]), cause, reference)


@kernel
def _mark(agenda: Agenda, audience: int, cause: int, reference: int) -> None:
    """Put an audience on the agenda.

    As the cause, an input outranks a window that expired, and among windows the first condition.
    """
    if agenda.waiting[audience]:
        if agenda.cause[audience] == WINDOW_CAUSE and (
            cause != WINDOW_CAUSE or reference < agenda.reference[audience]
        ):
            agenda.cause[audience] = cause
            agenda.reference[audience] = reference
        return
    agenda.waiting[audience] = 1
    agenda.cause[audience] = cause
    agenda.reference[audience] = reference
    queue = agenda.queue
    hole = int(agenda.length[0])
    agenda.length[0] += 1
    while hole > 0:
        parent = (hole - 1) >> 1
        if queue[parent] <= audience:
            break
        queue[hole] = queue[parent]
        hole = parent
    queue[hole] = audience


@kernel
def _forget(agenda: Agenda) -> None:
    """Take everything off the agenda."""
    while agenda.length[0] > 0:
        agenda.waiting[_next_audience(agenda)] = 0


@kernel
def _next_audience(agenda: Agenda) -> int:
    queue = agenda.queue
    first = int(queue[0])
    length = int(agenda.length[0]) - 1
    agenda.length[0] = length
    audience = queue[length]
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= length:
            break
        if child + 1 < length and queue[child + 1] < queue[child]:
            child += 1
        if queue[child] >= audience:
            break
        queue[hole] = queue[child]
        hole = child
    queue[hole] = audience
    return first


@kernel
def _evaluate(
    plan: PlanArrays, state: State, agenda: Agenda, emitted: Records, user: int, instant: int
) -> None:
    """Evaluate what is on the agenda and write down who entered and who exited."""
    while agenda.length[0] > 0:
        audience = _next_audience(agenda)
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
            _mark(agenda, dependent, int(agenda.cause[audience]), int(agenda.reference[audience]))


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


@kernel
def _room_for_instant(plan: PlanArrays, state: State, emitted: Records, user: int) -> int:
    """Room to evaluate all audiences once, to renew a timer and to release the user."""
    audiences = plan.entry.size
    if state.numbers[TRANSITIONS] + audiences > emitted.size:
        return MORE_TRANSITIONS
    held = audiences
    if user != NONE:
        held += int(state.users.members_count[user])
        released = int(state.numbers[RELEASED]) + 4 + int(state.users.id_length[user])
        if released > state.released.size:
            return MORE_RELEASED
    if state.books[MEMBERS_BOOK, TOP] + 4 * held > state.members.size:
        return MORE_MEMBERS
    if state.numbers[TIMERS] + 2 > state.timers.size:
        return MORE_TIMERS
    return DONE


@kernel
def _room_for_user(state: State, user: int, id_length: int) -> int:
    if user != NONE:
        return DONE
    numbers = state.numbers
    if numbers[USERS_FREE] == NONE and numbers[USERS_TOP] >= state.users.size:
        return MORE_USERS
    if 2 * (numbers[USERS_LIVE] + 1) > state.table.size:
        return MORE_USERS
    if numbers[IDS_TOP] + id_length > state.ids.size:
        return MORE_IDS
    return DONE


@kernel
def _room_for_input(
    plan: PlanArrays, state: State, inputs: Inputs, row: int, user: int, id_length: int
) -> int:
    need = _room_for_user(state, user, id_length)
    if need != DONE:
        return need
    conditions = int(inputs.condition_sets[row])
    first = int(inputs.sets.starts[conditions])
    last = int(inputs.sets.starts[conditions + 1])
    held = last - first
    if user != NONE:
        held += int(state.users.series_count[user])
    if state.books[SERIES_BOOK, TOP] + 4 * held > state.series.size:
        return MORE_SERIES
    if state.books[AHEAD_BOOK, TOP] + 1 > state.ahead.size:
        return MORE_AHEAD
    spare = state.entries.size - int(state.books[ENTRIES_BOOK, TOP])
    if spare < 2 * (last - first) * plan.largest_ring:
        needed = 0
        for position in range(first, last):
            number = int(plan.leads[int(inputs.sets.items[position])])
            if number == NONE:
                continue
            cell = NONE if user == NONE else find_series(state, user, number, 0)
            if cell < 0:
                needed += 1
            else:
                # One at least: by the input's instant the series may have been given back.
                more = cells_to_enlarge(state, cell, int(plan.series.capacity[number]))
                needed += max(1, more)
        if spare < needed:
            return MORE_ENTRIES
    return DONE
