"""Who is looked at although nobody has heard of him: what a snapshot or a definition changes.

A snapshot that takes force, audiences that were held back, or a past that was recalled concern many
users at one instant.  Each of them is brought to that instant by the rules of `evaluate`, and is
evaluated there once, with what is new.
"""

from __future__ import annotations

from engine.agenda import (
    Agenda,
    hold_back,
    let_go,
    mark,
    mark_all,
    mark_others,
)
from engine.compiled import kernel
from engine.evaluate import evaluate, expire, look_up, put_to_rest, settle
from engine.inputs import Snapshot
from engine.plan import (
    Int32s,
    Int64s,
    Lists,
    PlanArrays,
)
from engine.pools import NONE
from engine.room import room_for_instant, room_for_user
from engine.state import (
    CHANGED,
    CLOCK,
    DONE,
    FRESH,
    IN_FORCE,
    LIVE,
    SENT,
    USERS_TOP,
    Records,
    State,
)
from engine.transitions import DEFINITION_CAUSE
from engine.users import add_user, find_in_snapshot, find_user


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
            need = settle(plan, state, agenda, emitted, user, clock)
            if need != DONE:
                return need
            users.clock[user] = clock
            expire(plan, state, agenda, user, clock)
            mark_others(agenda, audiences, DEFINITION_CAUSE)
            if users.marks[user] & FRESH and users.marks[user] & SENT:
                users.marks[user] = LIVE | CHANGED | SENT
                mark_others(agenda, plan.absent_members, DEFINITION_CAUSE)
            evaluate(plan, state, agenda, emitted, user, clock)
            put_to_rest(plan, state, user)
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
    let_go(agenda, held)
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
    need = settle(plan, state, agenda, emitted, user, clock)
    if need != DONE:
        return need
    users.clock[user] = clock
    let_go(agenda, held)
    mark_all(agenda, held, DEFINITION_CAUSE)
    expire(plan, state, agenda, user, clock)
    _take_bits(plan, state, snapshot, agenda, user, cause)
    evaluate(plan, state, agenda, emitted, user, clock)
    hold_back(agenda, held)
    put_to_rest(plan, state, user)
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
    need = room_for_user(state, NONE, id_end - id_start)
    if need == DONE:
        need = room_for_instant(plan, state, emitted, NONE)
    if need != DONE:
        return need
    user = add_user(plan, state, int(snapshot.hashes[row]), snapshot.users.data, id_start, id_end)
    clock = max(at, int(state.numbers[CLOCK]))
    users.clock[user] = clock
    users.marks[user] = LIVE | CHANGED
    for word in range(snapshot.patterns.shape[1]):
        state.words[user, word] = snapshot.patterns[pattern, word]
    mark_all(agenda, held, DEFINITION_CAUSE)
    for position in range(first, last):
        mark(agenda, int(members_at_rest.items[position]), cause, NONE)
    evaluate(plan, state, agenda, emitted, user, clock)
    put_to_rest(plan, state, user)
    return DONE


# --- one user, one instant --------------------------------------------------------------------


@kernel
def _take_bits(
    plan: PlanArrays, state: State, snapshot: Snapshot, agenda: Agenda, user: int, cause: int
) -> None:
    """Look the user up again and mark the audiences that look at a bit that has changed."""
    users = state.users
    start = int(users.id_start[user])
    end = start + int(users.id_length[user])
    if not state.numbers[IN_FORCE]:
        look_up(plan, state, snapshot, user, int(users.hash[user]), state.ids, start, end)
        for audience in range(plan.entry.size):
            mark(agenda, audience, cause, NONE)
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
                    mark(agenda, int(readers.items[position]), cause, NONE)
    # Somebody gone from the warehouse who has never sent an event cannot be a member any more.
    sent = int(users.marks[user] & SENT)
    was_gone = (users.marks[user] & FRESH) != 0
    is_gone = row == NONE and not sent
    users.marks[user] = LIVE | CHANGED | (FRESH if is_gone else sent)
    if was_gone != is_gone:
        for audience in range(plan.entry.size):
            mark(agenda, audience, cause, NONE)
