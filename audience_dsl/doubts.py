"""Rules that are legal but cannot be meant: true for nobody ever, or true for everybody always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from audience_dsl.cases import ColumnDomains, Group, Leaf, Rule, Variable, can_be
from audience_dsl.conditions import Interned
from audience_dsl.definitions import Comparison, WarehousePredicate
from audience_dsl.wording import aggregate_words, filter_words
from engine.plan import All, Any, MemberOf, Not, Performed, Predicate, Tree

_LEAVES_MOST = 30
_RANGES_MOST = 64


def possible_outcomes(tree: Tree, interned: Interned) -> tuple[bool, bool]:
    """Whether the rule can be true, and whether it can be false; true also if that is unknown."""
    leaves = list(_leaves(tree))
    counts = _CountDomains(interned, [leaf for leaf in leaves if isinstance(leaf, Performed)])
    compared = [_compared(one) for one in interned.predicates]
    columns = ColumnDomains(
        [compared[leaf.predicate] for leaf in leaves if isinstance(leaf, Predicate)]
    )

    def rule(node: Tree) -> Rule:
        match node:
            case All(of):
                return Group("all", tuple(map(rule, of)))
            case Any(of):
                return Group("any", tuple(map(rule, of)))
            case Not(of=inner):
                return Group("not", (rule(inner),))
            case Performed(condition):
                return counts.leaf(condition)
            case Predicate(predicate):
                return columns.leaf(compared[predicate])
            case MemberOf(audience):
                return Leaf(("audience", audience), frozenset({1}))

    whole, sizes = rule(tree), counts.sizes | columns.sizes
    return (
        can_be(True, whole, sizes, counts.compatible),
        can_be(False, whole, sizes, counts.compatible),
    )


def _compared(predicate: WarehousePredicate) -> Comparison:
    """An aggregate of related rows is as good as a column, whose name no real one can have."""
    if isinstance(predicate, Comparison):
        return predicate
    return predicate.over(f"\x1f{aggregate_words(predicate)}")


def small(tree: Tree) -> bool:
    """Whether the rule is small enough to be put in the place of references to it.

    Without a bound, audiences that name each other twice would double it at every step.
    """
    return sum(1 for _ in islice(_leaves(tree), _LEAVES_MOST + 1)) <= _LEAVES_MOST


def without_references(tree: Tree, rules: Mapping[str, Tree]) -> Tree:
    """The tree with the rules of the audiences that it names in their places."""
    match tree:
        case MemberOf(audience):
            return rules.get(audience, tree)
        case All(of):
            return All(tuple(without_references(one, rules) for one in of))
        case Any(of):
            return Any(tuple(without_references(one, rules) for one in of))
        case Not(of=inner):
            return Not(without_references(inner, rules))
        case _:
            return tree


def _leaves(tree: Tree) -> Iterator[Tree]:
    match tree:
        case All(of) | Any(of):
            for one in of:
                yield from _leaves(one)
        case Not(of=inner):
            yield from _leaves(inner)
        case _:
            yield tree


class _CountDomains:
    """Counts that several conditions compare, cut into ranges at the bounds.

    A count over fewer events (a shorter window, or with a filter where the other has none) is
    never the larger one.
    """

    def __init__(self, interned: Interned, leaves: Sequence[Performed]) -> None:
        self._interned = interned
        cuts: dict[Variable, set[int]] = {}
        for leaf in leaves:
            condition = interned.conditions[leaf.condition]
            cut = cuts.setdefault(self._variable(leaf.condition), {0})
            cut.add(condition.minimum)
            if condition.maximum is not None:
                cut.add(condition.maximum + 1)
        self._ranges: dict[Variable, list[tuple[int, int]]] = {}
        for variable, cut in cuts.items():
            if len(cut) > _RANGES_MOST:
                continue
            starts = sorted(cut)
            ends = [start - 1 for start in starts[1:]] + [1 << 40]
            self._ranges[variable] = list(zip(starts, ends, strict=True))
        self.sizes = {variable: len(ranges) for variable, ranges in self._ranges.items()}
        self._leaves: dict[int, Leaf] = {}

    def _variable(self, condition: int) -> Variable:
        of = self._interned.events[condition]
        where = filter_words(of.where) if of.where is not None else ""
        return ("count", of.events, where, self._interned.conditions[condition].window)

    def leaf(self, condition: int) -> Leaf:
        if condition not in self._leaves:
            self._leaves[condition] = self._leaf(condition)
        return self._leaves[condition]

    def _leaf(self, condition: int) -> Leaf:
        variable = self._variable(condition)
        if variable not in self._ranges:
            return Leaf(("condition", condition), frozenset({1}))
        of = self._interned.conditions[condition]
        least, most = of.minimum, of.maximum
        accepted = (
            number
            for number, (low, high) in enumerate(self._ranges[variable])
            if low >= least and (most is None or high <= most)
        )
        return Leaf(variable, frozenset(accepted))

    def compatible(self, one: Variable, value: int, other: Variable, other_value: int) -> bool:
        """Whether two counts can have these values at once."""
        if one[0] != "count" or other[0] != "count":
            return True
        a, b = self._ranges[one][value], self._ranges[other][other_value]
        return not (
            (_counts_fewer(one, other) and a[0] > b[1])
            or (_counts_fewer(other, one) and b[0] > a[1])
        )


def _counts_fewer(one: Variable, other: Variable) -> bool:
    """Whether every event that the one counts is counted by the other as well."""
    _, events, where, window = one
    _, other_events, other_where, other_window = other
    assert isinstance(events, tuple)
    assert isinstance(other_events, tuple)
    assert isinstance(window, int)
    assert isinstance(other_window, int)
    same_filter = events == other_events and where == other_where
    no_filter = set(events) <= set(other_events) and other_where == ""
    return (same_filter or no_filter) and window <= other_window
