"""The compiled plan: what the core evaluates, as plain values and as flat arrays.

The language compiles all audiences of one parent model to one `Plan`.  A condition is a bounded
count over a trailing window; an audience is a Boolean tree over conditions, warehouse predicates
and other audiences.  Conditions that audiences share are one condition.

For the kernels the trees become *decision graphs*: a row of leaves in which every leaf names the
leaf to look at next if it is true and if it is false, until `ACCEPT` or `REJECT`.  Groups of any
kind and depth thereby cost nothing at run time, and evaluation stops at the first leaf that
settles the answer.  (It is the classic translation of Boolean expressions to jumping code, see
Aho, Sethi, Ullman, "Compilers", 1986, section 8.4.)

Audiences are numbered so that an audience comes after those it refers to: evaluating dirty
audiences in ascending order sees every membership it needs already settled.

All durations and instants are integers in microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any as TypingAny
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.compiled import for_kernels

Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Booleans = npt.NDArray[np.bool_]

# What a leaf of a decision graph looks at, and where a decision ends.
EVENT, WAREHOUSE, AUDIENCE = 0, 1, 2
ACCEPT, REJECT = -1, -2

# "No upper bound" of a count, larger than any count.
UNBOUNDED = 1 << 40


@dataclass(frozen=True, slots=True)
class Condition:
    """`minimum <= count <= maximum` of the events in the trailing `window`.

    `key` names the condition to people and across plans: it is the condition in words, and equal
    for equal conditions only.  `maximum` is `None` where the comparison has no upper bound.

    `of` names the events that it counts, across plans as well.  Conditions of the same events share
    what is remembered of them; an event that one of them counts must be given to all.  Left empty,
    nothing is shared.
    """

    key: str
    window: int
    minimum: int
    maximum: int | None = None
    of: str = ""

    @property
    def capacity(self) -> int:
        """How many of the newest events decide the condition."""
        return max(self.minimum, 1) if self.maximum is None else self.maximum + 1


@dataclass(frozen=True, slots=True)
class Performed:
    """Leaf: the condition of that number in the plan holds."""

    condition: int


@dataclass(frozen=True, slots=True)
class Predicate:
    """Leaf: the warehouse predicate of that number holds."""

    predicate: int


@dataclass(frozen=True, slots=True)
class MemberOf:
    """Leaf: the user is a member of the audience with that key."""

    audience: str


@dataclass(frozen=True, slots=True)
class All:
    of: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    of: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Not:
    of: Tree


Tree = Performed | Predicate | MemberOf | All | Any | Not


@dataclass(frozen=True, slots=True)
class Audience:
    """`version` is a digest of the compiled definition; it changes when the meaning does."""

    key: str
    version: str
    tree: Tree


class Lists(NamedTuple):
    """Many short lists of numbers in two arrays: list `i` is `items[starts[i]:starts[i + 1]]`."""

    starts: Int64s
    items: Int32s

    @classmethod
    def of(cls, lists: Iterable[Iterable[int]]) -> Lists:
        materialized = [list(one) for one in lists]
        starts = np.zeros(len(materialized) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in materialized], out=starts[1:])
        items = np.array([item for one in materialized for item in one], dtype=np.int32)
        return cls(starts, items)

    def extended(self, lists: Iterable[Iterable[int]]) -> Lists:
        """These lists and more behind them."""
        more = Lists.of(lists)
        return Lists(
            np.concatenate([self.starts, more.starts[1:] + self.starts[-1]]),
            np.concatenate([self.items, more.items]),
        )


CONDITION = np.dtype(
    [
        ("number", np.int64),
        ("window", np.int64),
        ("enough", np.int64),  # a count from here on is enough
        ("too_many", np.int64),  # a count from here on is not what is asked for; or UNBOUNDED
    ]
)

# The events that some conditions count.
SERIES = np.dtype(
    [
        ("first", np.int64),  # its conditions in `PlanArrays.conditions`: from here …
        ("end", np.int64),  # … to before here
        ("window", np.int64),  # the longest of the conditions
        ("capacity", np.int64),  # how many of the newest events decide the conditions
        ("reach", np.int64),  # where `PlanArrays.reach` of this series begins
    ]
)

LEAF = np.dtype(
    [
        ("kind", np.int32),  # EVENT, WAREHOUSE or AUDIENCE
        ("operand", np.int32),  # number of the condition, predicate or audience
        ("if_true", np.int32),  # next leaf, ACCEPT or REJECT
        ("if_false", np.int32),
    ]
)

# Field access as in `conditions.window[condition]`, which type checkers cannot follow.
Records = TypingAny


class PlanArrays(NamedTuple):
    """The plan as the kernels read it; see `Plan.arrays`."""

    conditions: Records  # CONDITION; those of a series next to each other, ascending
    series: Records  # SERIES
    leads: Int32s  # per condition: the series of which it is the first, or -1
    reach: Int64s  # series, rank of an event, from 1 -> for how long the event matters
    truths_at_rest: Int64s  # bits of the conditions that are true without any event
    leaves: Records  # LEAF
    entry: Int32s  # per audience: its first leaf
    readers: Lists  # condition -> audiences that look at it
    dependents: Lists  # audience -> audiences that look at it
    predicate_readers: Lists  # predicate -> audiences that look at it
    absent_words: Int64s  # predicate bits of a user whom the warehouse does not know
    absent_members: Int32s  # audiences that hold for such a user without any event, and those
    # that look at them: what to evaluate when the user is seen for the first time
    largest_ring: int  # cells of a block that holds the largest capacity of a series
    longest_window: int


@dataclass(frozen=True)
class Plan:
    """All audiences of one parent model, compiled.

    `absent[i]` is the outcome of warehouse predicate `i` for a user who has no row in the
    snapshot, and `predicates[i]` names its meaning across plans, or is empty.  `audiences` may be
    given in any order; `build` sorts them, references first.
    """

    parent_model: str
    conditions: tuple[Condition, ...]
    absent: tuple[bool, ...]
    audiences: tuple[Audience, ...]
    predicates: tuple[str, ...]

    @classmethod
    def build(
        cls,
        parent_model: str,
        conditions: Sequence[Condition],
        absent: Sequence[bool],
        audiences: Iterable[Audience],
        predicates: Sequence[str] = (),
    ) -> Plan:
        """Order the audiences so that references come first.

        Args:
            predicates: A name for each predicate; without, their outcomes are not carried over
                to another plan.

        Raises:
            ValueError: an audience refers to an unknown one, or to itself through others.
        """
        names = tuple(predicates) or ("",) * len(absent)
        ordered = _references_first(audiences)
        return cls(parent_model, tuple(conditions), tuple(absent), ordered, names)

    @cached_property
    def version(self) -> str:
        """A digest of everything that stored state depends on."""
        parts = (self.conditions, self.absent, self.predicates, self.audiences)
        text = repr((self.parent_model, *parts))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @cached_property
    def word_count(self) -> int:
        """64-bit words that hold a user's predicate bits (bit `p` is bit `p % 64` of `p // 64`)."""
        return (len(self.absent) + 63) // 64

    @cached_property
    def arrays(self) -> PlanArrays:
        numbers = {audience.key: number for number, audience in enumerate(self.audiences)}
        graph = _DecisionGraphs(numbers)
        entry = [graph.add(audience.tree) for audience in self.audiences]
        readers: list[list[int]] = [[] for _ in self.conditions]
        predicate_readers: list[list[int]] = [[] for _ in self.absent]
        dependents: list[list[int]] = [[] for _ in self.audiences]
        for number, audience in enumerate(self.audiences):
            for leaf in dict.fromkeys(leaves(audience.tree)):
                match leaf:
                    case Performed(condition):
                        readers[condition].append(number)
                    case Predicate(predicate):
                        predicate_readers[predicate].append(number)
                    case MemberOf(key):
                        dependents[numbers[key]].append(number)
        series = series_of(self.conditions)
        leads = np.full(len(self.conditions), -1, dtype=np.int32)
        leads[[counting[0] for counting in series]] = np.arange(len(series))
        reaches = [_reach([self.conditions[number] for number in one]) for one in series]
        return PlanArrays(
            conditions=for_kernels(
                np.array(
                    [_condition_record(n, self.conditions[n]) for one in series for n in one],
                    dtype=CONDITION,
                )
            ),
            series=for_kernels(_series_records(series, reaches)),
            leads=leads,
            reach=np.array([window for reach in reaches for window in reach], dtype=np.int64),
            truths_at_rest=pack_bits([one.minimum == 0 for one in self.conditions]),
            leaves=for_kernels(np.array(graph.leaves, dtype=LEAF)),
            entry=np.array(entry, dtype=np.int32),
            readers=Lists.of(readers),
            dependents=Lists.of(dependents),
            predicate_readers=Lists.of(predicate_readers),
            absent_words=pack_bits(self.absent),
            absent_members=np.array(self._absent_members(), dtype=np.int32),
            largest_ring=1 << (max(map(len, reaches), default=1) - 1).bit_length(),
            longest_window=max((one.window for one in self.conditions), default=0),
        )

    def _absent_members(self) -> list[int]:
        at_rest = [condition.minimum == 0 for condition in self.conditions]
        members: dict[str, bool] = {}
        concerned: dict[str, int] = {}
        for number, audience in enumerate(self.audiences):
            members[audience.key] = _holds(audience.tree, at_rest, self.absent, members)
            if members[audience.key] or not concerned.keys().isdisjoint(_references(audience.tree)):
                concerned[audience.key] = number
        return list(concerned.values())


def series_of(conditions: Sequence[Condition]) -> list[list[int]]:
    """The numbers of the conditions that share their events, ascending, by their first."""
    shared: dict[object, list[int]] = {}
    for number, condition in enumerate(conditions):
        shared.setdefault(condition.of or number, []).append(number)
    return list(shared.values())


def pack_bits(bits: Sequence[bool]) -> Int64s:
    """Predicate outcomes as 64-bit words, lowest bit first."""
    words = np.zeros((len(bits) + 63) // 64, dtype=np.uint64)
    for number, bit in enumerate(bits):
        if bit:
            words[number // 64] |= np.uint64(1) << np.uint64(number % 64)
    return words.view(np.int64)


def _condition_record(number: int, condition: Condition) -> tuple[int, int, int, int]:
    too_many = UNBOUNDED if condition.maximum is None else condition.maximum + 1
    return number, condition.window, condition.minimum, too_many


def _series_records(series: list[list[int]], reaches: list[list[int]]) -> Records:
    records = np.empty(len(series), dtype=SERIES)
    ends = np.cumsum([len(one) for one in series], dtype=np.int64)
    capacities = np.array([len(reach) for reach in reaches], dtype=np.int64)
    records["first"] = ends - [len(one) for one in series]
    records["end"] = ends
    records["window"] = [reach[0] for reach in reaches]
    records["capacity"] = capacities
    records["reach"] = np.cumsum(capacities) - capacities
    return records


def _reach(conditions: Sequence[Condition]) -> list[int]:
    """For each rank of an event, the longest window of the conditions that look so far back."""
    reach = [0] * max(condition.capacity for condition in conditions)
    for condition in conditions:
        reach[condition.capacity - 1] = max(reach[condition.capacity - 1], condition.window)
    for rank in range(len(reach) - 1, 0, -1):
        reach[rank - 1] = max(reach[rank - 1], reach[rank])
    return reach


def leaves(tree: Tree) -> Iterator[Performed | Predicate | MemberOf]:
    match tree:
        case All(of) | Any(of):
            for one in of:
                yield from leaves(one)
        case Not(inner):
            yield from leaves(inner)
        case _:
            yield tree


def _references(tree: Tree) -> set[str]:
    return {leaf.audience for leaf in leaves(tree) if isinstance(leaf, MemberOf)}


def _holds(
    tree: Tree, conditions: Sequence[bool], predicates: Sequence[bool], members: dict[str, bool]
) -> bool:
    match tree:
        case Performed(condition):
            return conditions[condition]
        case Predicate(predicate):
            return predicates[predicate]
        case MemberOf(audience):
            return members[audience]
        case All(of):
            return all(_holds(one, conditions, predicates, members) for one in of)
        case Any(of):
            return any(_holds(one, conditions, predicates, members) for one in of)
        case Not(inner):
            return not _holds(inner, conditions, predicates, members)


def _references_first(audiences: Iterable[Audience]) -> tuple[Audience, ...]:
    pending = {audience.key: audience for audience in sorted(audiences, key=lambda a: a.key)}
    references = {key: _references(audience.tree) for key, audience in pending.items()}
    ordered: dict[str, Audience] = {}
    while pending:
        ready = [key for key in pending if references[key] <= ordered.keys()]
        if not ready:
            raise ValueError(f"audiences refer to each other or to unknown ones: {sorted(pending)}")
        for key in ready:
            ordered[key] = pending.pop(key)
    return tuple(ordered.values())


class _DecisionGraphs:
    """Leaves of all audiences; built from the last leaf to the first, whose exits are known."""

    def __init__(self, numbers: dict[str, int]) -> None:
        self._numbers = numbers
        self.leaves: list[tuple[int, int, int, int]] = []

    def add(self, tree: Tree, yes: int = ACCEPT, no: int = REJECT) -> int:
        """Add a tree whose outcome leads to `yes` or `no`; return its first leaf."""
        match tree:
            case Performed(condition):
                return self._leaf(EVENT, condition, yes, no)
            case Predicate(predicate):
                return self._leaf(WAREHOUSE, predicate, yes, no)
            case MemberOf(audience):
                return self._leaf(AUDIENCE, self._numbers[audience], yes, no)
            case Not(inner):
                return self.add(inner, no, yes)
            case All(of):
                for one in reversed(of):
                    yes = self.add(one, yes, no)
                return yes
            case Any(of):
                for one in reversed(of):
                    no = self.add(one, yes, no)
                return no

    def _leaf(self, kind: int, operand: int, yes: int, no: int) -> int:
        self.leaves.append((kind, operand, yes, no))
        return len(self.leaves) - 1
