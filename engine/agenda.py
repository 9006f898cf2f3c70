"""The agenda: which audiences are to be evaluated at the present instant, and for which cause.

An audience is evaluated only if something that it looks at has flipped.  Those that are wait here,
and are taken in ascending order, so that an audience comes after those that it refers to.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.compiled import kernel
from engine.plan import Int8s, Int32s, Int64s, PlanArrays
from engine.pools import NONE
from engine.state import IN_FORCE, State
from engine.transitions import WINDOW_CAUSE


class Agenda(NamedTuple):
    """Audiences to be evaluated at the present instant: a binary heap, smallest number first."""

    queue: Int32s
    length: Int64s  # one cell
    waiting: Int8s  # per audience: 1 while it is in the queue
    cause: Int8s  # per audience: cause of the transition that may come
    reference: Int64s  # row of the event, or number of the condition that expired


@kernel
def hold_back(agenda: Agenda, audiences: Int32s) -> None:
    """Have nobody evaluated in these audiences: what waits already does not get into the queue."""
    for audience in audiences:
        agenda.waiting[audience] = 1


@kernel
def let_go(agenda: Agenda, audiences: Int32s) -> None:
    """Evaluate these audiences again, that were held back."""
    for audience in audiences:
        agenda.waiting[audience] = 0


@kernel
def mark_all(agenda: Agenda, audiences: Int32s, cause: int) -> None:
    """Mark all of these."""
    for audience in audiences:
        mark(agenda, int(audience), cause, NONE)


@kernel
def mark_others(agenda: Agenda, audiences: Int32s, cause: int) -> None:
    """Mark those that do not wait already: what has just aged out remains their cause."""
    for audience in audiences:
        if not agenda.waiting[audience]:
            mark(agenda, int(audience), cause, NONE)


@kernel
def mark_readers(
    plan: PlanArrays, state: State, agenda: Agenda, condition: int, cause: int, reference: int
) -> None:
    """Mark the audiences that look at a condition, once there is a snapshot to look at as well."""
    if state.numbers[IN_FORCE]:
        for position in range(
            int(plan.readers.starts[condition]), int(plan.readers.starts[condition + 1])
        ):
            mark(agenda, int(plan.readers.items[position]), cause, reference)


@kernel
def mark(agenda: Agenda, audience: int, cause: int, reference: int) -> None:
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
def forget(agenda: Agenda) -> None:
    """Take everything off the agenda."""
    while agenda.length[0] > 0:
        agenda.waiting[next_audience(agenda)] = 0


@kernel
def next_audience(agenda: Agenda) -> int:
    """Take the smallest number off the agenda; it still counts as waiting until it is evaluated."""
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
