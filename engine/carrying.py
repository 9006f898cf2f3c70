"""State under other definitions: what is known of users, carried from one plan to another.

State consists of numbers, and a number stands for a series, a predicate or an audience of the plan
that it was written under.  A complete dump therefore says what each of them means (`Meanings`), so
that the state can be read under any other plan without the old one:

- Events of a series that the new plan counts as well stay remembered, as many as it can use.
- Audiences of the same key go on with their members and sequences; others are forgotten.
- An audience that means what it meant is evaluated as if nothing had happened.  All others are
  *held*: nobody enters or exits until their definitions take force, at an instant that the caller
  chooses.  So what happens before is not judged by a definition that came after.
- A condition may need events that were not remembered, because nothing counted them, or not for so
  long, or not so many.  It counts what is known and is *warming* until the instant from which on
  nothing that was missed can matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from engine.columns import Columns, ragged
from engine.plan import (
    Audience,
    Bytes,
    Condition,
    Int32s,
    Int64s,
    MemberOf,
    Performed,
    Plan,
    Predicate,
    leaves,
    series_of,
)
from engine.state import NEVER

# Nothing has been missed.
ALWAYS = -NEVER

_GONE = -1


class Meanings(msgspec.Struct, frozen=True):
    """What the numbers in a state stand for, and how well its conditions know their past."""

    plan: str  # version
    parent_model: str
    conditions: tuple[Condition, ...]
    exact_from: tuple[int, ...]  # per condition
    predicates: tuple[str, ...]
    audiences: tuple[tuple[str, str], ...]  # key and version
    held: tuple[int, ...]  # audiences that wait for their definitions, if the state is holding

    @classmethod
    def of(cls, plan: Plan, exact_from: tuple[int, ...], held: tuple[int, ...]) -> Meanings:
        audiences = tuple((one.key, one.version) for one in plan.audiences)
        return cls(
            plan.version,
            plan.parent_model,
            plan.conditions,
            exact_from,
            plan.predicates,
            audiences,
            held,
        )


class Carried(NamedTuple):
    """A state under the plan that it was carried to; the rest as in `Meanings`."""

    columns: Columns
    exact_from: tuple[int, ...]
    held: tuple[int, ...]


def carry(stored: Meanings, columns: Columns, plan: Plan) -> Carried:
    """The state under another plan of the same parent model."""
    numbers_of_series = _numbers(_names_of_series(plan.conditions))
    series = [numbers_of_series.get(name, _GONE) for name in _names_of_series(stored.conditions)]
    numbers = {audience.key: number for number, audience in enumerate(plan.audiences)}
    audiences = [numbers.get(key, _GONE) for key, _ in stored.audiences]
    held = _held(stored, columns, plan)
    columns = _with_series(columns, plan, np.array(series, dtype=np.int32))
    columns = _with_members(columns, np.array(audiences, dtype=np.int32))
    columns = columns._replace(words=_words(stored, columns, plan)).with_holding(bool(held))
    return Carried(columns, tuple(_exact_from(stored, columns, plan)), held)


# --- what is known of conditions and audiences -------------------------------------------------


def series_name(condition: Condition) -> tuple[str, str]:
    """What names the condition's series across plans: equal if they count the same events."""
    return ("of", condition.of) if condition.of else ("only", condition.key)


def _names_of_series(conditions: tuple[Condition, ...]) -> list[tuple[str, str]]:
    return [series_name(conditions[counting[0]]) for counting in series_of(conditions)]


def _numbers(names: list[tuple[str, str]]) -> dict[tuple[str, str], int]:
    return {name: number for number, name in enumerate(names)}


def _exact_from(stored: Meanings, columns: Columns, plan: Plan) -> Iterator[int]:
    """From when on each condition of the plan counts all that it should.

    All that was ever counted happened by the latest clock, so nothing later than it is missing.
    A condition of the old plan knew the events of its window up to its own rank, and whatever looks
    no further back than it did knows them, too.
    """
    clock = max(columns.clock, int(columns.clocks.max(initial=ALWAYS)))
    known: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for condition, exact_from in zip(stored.conditions, stored.exact_from, strict=True):
        since = max(clock, exact_from) - condition.window
        known.setdefault(series_name(condition), []).append((condition.capacity, since))
    for condition in plan.conditions:
        enough = [
            since
            for capacity, since in known.get(series_name(condition), [])
            if capacity >= condition.capacity
        ]
        exact_from = condition.window + min([clock, *enough])
        yield exact_from if exact_from > clock else ALWAYS


def _held(stored: Meanings, columns: Columns, plan: Plan) -> tuple[int, ...]:
    """The audiences that do not mean what they meant, or look at what the state does not have."""
    if not columns.in_force:
        return ()
    waiting = set(stored.held) if columns.holding else set()
    versions = {
        key: version
        for number, (key, version) in enumerate(stored.audiences)
        if number not in waiting
    }
    conditions = {_identity(condition) for condition in stored.conditions}
    predicates = set(stored.predicates) - {""}
    kept: set[str] = set()

    def is_kept(audience: Audience) -> bool:
        for leaf in leaves(audience.tree):
            match leaf:
                case Performed(number):
                    known = _identity(plan.conditions[number]) in conditions
                case Predicate(number):
                    known = plan.predicates[number] in predicates
                case MemberOf(key):
                    known = key in kept
            if not known:
                return False
        return versions.get(audience.key) == audience.version

    held = []
    for number, audience in enumerate(plan.audiences):
        if is_kept(audience):
            kept.add(audience.key)
        else:
            held.append(number)
    return tuple(held)


def _identity(condition: Condition) -> tuple[object, ...]:
    return *series_name(condition), condition.window, condition.minimum, condition.maximum


# --- the columns ------------------------------------------------------------------------------


def _with_series(columns: Columns, plan: Plan, new_numbers: Int32s) -> Columns:
    """The events that matter to the plan, in its series, of each user ascending by number."""
    arrays = plan.arrays
    users = np.repeat(np.arange(columns.users), columns.series_counts)
    numbers = new_numbers[columns.series_numbers]
    series = np.repeat(np.arange(numbers.size), columns.series_sizes)  # of each event
    ends = np.cumsum(columns.series_sizes, dtype=np.int64)
    ranks = ends[series] - np.arange(series.size)
    stays = np.flatnonzero(numbers[series] != _GONE)
    stays = stays[ranks[stays] <= arrays.series["capacity"][numbers[series[stays]]]]
    place = arrays.series["reach"][numbers[series[stays]]] + ranks[stays] - 1
    # What was due before the group's clock has happened, and what is due at it has not.
    reached = np.maximum(columns.clocks, columns.clock - 1)[users[series[stays]]]
    stays = stays[columns.entry_timestamps[stays] + arrays.reach[place] > reached]

    sizes = np.bincount(series[stays], minlength=numbers.size).astype(np.int32)
    begins = np.cumsum(sizes, dtype=np.int64) - sizes
    chosen = np.flatnonzero(sizes)
    chosen = chosen[np.lexsort((numbers[chosen], users[chosen]))]
    entries = stays[ragged(begins[chosen], sizes[chosen])]
    return columns._replace(
        series_counts=_counts(users[chosen], columns.users),
        series_numbers=numbers[chosen],
        series_sizes=sizes[chosen],
        entry_timestamps=columns.entry_timestamps[entries],
        entry_ids=columns.entry_ids[entries],
    )


def _with_members(columns: Columns, new_numbers: Int32s) -> Columns:
    users = np.repeat(np.arange(columns.users), columns.member_counts)
    numbers = new_numbers[columns.member_audiences]
    chosen = np.flatnonzero(numbers != _GONE)
    chosen = chosen[np.lexsort((numbers[chosen], users[chosen]))]
    return columns._replace(
        member_counts=_counts(users[chosen], columns.users),
        member_audiences=numbers[chosen],
        member_sequences=columns.member_sequences[chosen],
    )


def _counts(users: Int64s, count: int) -> Int32s:
    return np.bincount(users, minlength=count).astype(np.int32)


def _words(stored: Meanings, columns: Columns, plan: Plan) -> Int64s:
    """The outcomes of predicates that are known; of the others, those for a stranger."""
    words = np.tile(plan.arrays.absent_words, (columns.users, 1)).view(np.uint64)
    old_numbers: Mapping[str, int] = {
        name: number for number, name in enumerate(stored.predicates) if name
    }
    for number, name in enumerate(plan.predicates):
        if name in old_numbers:
            word, bit = divmod(number, 64)
            words[:, word] &= ~(np.uint64(1) << np.uint64(bit))
            words[:, word] |= _outcomes(columns, old_numbers[name]) << np.uint64(bit)
    carried: Int64s = words.view(np.int64)
    return carried


def _outcomes(columns: Columns, number: int) -> Bytes:
    word, bit = divmod(number, 64)
    outcomes: Bytes = (columns.words[:, word].view(np.uint64) >> np.uint64(bit)) & np.uint64(1)
    return outcomes
