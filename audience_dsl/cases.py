"""Whether a Boolean rule can come out true, and whether it can come out false.

A rule is searched for a case that gives the wanted outcome.  A case gives every variable one of the
few values that matter: for a column those between its operands, since all others behave alike.
What cannot be told apart this way is left free, so a rule is called impossible only if it is.  The
search goes variable by variable, drops a branch as soon as the rule is settled, and gives up in
silence after a bounded number of looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from audience_dsl.definitions import (
    AllOf,
    AnyOf,
    ColumnType,
    Comparison,
    Filter,
    Negation,
    comparisons_of,
)
from audience_dsl.instants import EARLIEST, LATEST, format_instant
from audience_dsl.operators import OPERATORS, Operand, holds
from audience_dsl.wording import comparison_words

_LOOKS_MOST = 50_000
_VARIABLES_MOST = 200
_VALUES_MOST = 64

Variable = tuple[object, ...]
Compatible = Callable[[Variable, int, Variable, int], bool]


@dataclass(frozen=True, slots=True)
class Leaf:
    """True if the variable's value is one of `accepted`, which are numbers of its domain.

    A variable without a domain is a Boolean: 0 or 1.
    """

    variable: Variable
    accepted: frozenset[int]


@dataclass(frozen=True, slots=True)
class Group:
    """`all`, `any` or `not` of its members."""

    kind: str
    members: tuple[Rule, ...]


Rule = Leaf | Group


def can_be(
    wanted: bool, rule: Rule, sizes: Mapping[Variable, int], compatible: Compatible | None = None
) -> bool:
    """Whether some case gives the wanted outcome; also true if that is too much to find out.

    `sizes` are the sizes of the variables' domains; `compatible` tells whether two variables can
    have these two values at once.
    """
    if len(set(_variables(rule))) > _VARIABLES_MOST:
        return True
    return _Search(rule, sizes, compatible or (lambda *_: True)).finds(wanted)


def can_match(where: Filter) -> bool:
    """Whether some event can pass the filter; true also if that is unknown."""
    columns = ColumnDomains(list(comparisons_of(where)))

    def rule(node: Filter) -> Rule:
        match node:
            case AllOf(of):
                return Group("all", tuple(map(rule, of)))
            case AnyOf(of):
                return Group("any", tuple(map(rule, of)))
            case Negation(of=inner):
                return Group("not", (rule(inner),))
            case Comparison():
                return columns.leaf(node)

    return can_be(True, rule(where), columns.sizes)


class ColumnDomains:
    """Columns, each with representative values: one for every way its comparisons can turn out."""

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        by_column: dict[str, dict[str, Comparison]] = {}
        for comparison in comparisons:
            by_column.setdefault(comparison.column, {})[comparison_words(comparison)] = comparison
        self._values: dict[str, list[object]] = {}
        for column, of in by_column.items():
            values = _representatives(list(of.values()))
            if values is not None:
                self._values[column] = values
        self.sizes: dict[Variable, int] = {
            ("column", column): len(values) for column, values in self._values.items()
        }

    def leaf(self, comparison: Comparison) -> Leaf:
        values = self._values.get(comparison.column)
        if values is None:
            return Leaf(("comparison", comparison_words(comparison)), frozenset({1}))
        accepted = (i for i, value in enumerate(values) if holds(comparison, value, at=0))
        return Leaf(("column", comparison.column), frozenset(accepted))


def _representatives(comparisons: Sequence[Comparison]) -> list[object] | None:
    """Values that cover all outcomes, `None` (missing) among them, or `None` if that is not simple.

    It is not for texts inside texts, patterns, lists, and spans around now.
    """
    kinds = {OPERATORS[comparison.operator].operand for comparison in comparisons}
    easy = {Operand.VALUE, Operand.VALUES, Operand.PAIR, Operand.FLAG}
    if not kinds <= easy or any(one.ignore_case for one in comparisons):
        return None
    operands: list[object] = []
    for comparison in comparisons:
        operand = comparison.operand
        operands.extend(operand if isinstance(operand, tuple) else [operand])
    types = {one.type for one in comparisons}
    if len(types) > 1 or len(operands) > _VALUES_MOST:
        return None
    match types.pop():
        case ColumnType.STRING:
            return [None, *_texts(operands)]
        case ColumnType.BOOLEAN:
            return [None, False, True]
        case ColumnType.NUMBER:
            return [None, *_numbers(operands)]
        case ColumnType.TIMESTAMP:
            instants = (int(one) for one in _numbers(operands))
            return [None, *(format_instant(min(max(one, EARLIEST), LATEST)) for one in instants)]
        case ColumnType.ARRAY:
            return None
        case None:
            # An object is there, but is of no type that any operand has.
            return [None, {}, False, True, *_texts(operands), *_numbers(operands)]


def _texts(operands: Sequence[object]) -> list[str]:
    """The texts themselves and another one."""
    texts = sorted({one for one in operands if isinstance(one, str)})
    return [*texts, "".join(texts) + "*"]


def _numbers(operands: Sequence[object]) -> list[int | float]:
    """The numbers themselves, one between each two, and one beyond either end."""
    numbers = sorted(
        {one for one in operands if isinstance(one, int | float) and not isinstance(one, bool)}
    )
    if not numbers:
        return [0]
    between = [low + (high - low) / 2 for low, high in pairwise(numbers)]
    return [numbers[0] - 1, *numbers, *between, numbers[-1] + 1]


class _Search:
    """Looks for values of the variables that give the rule the wanted outcome."""

    def __init__(
        self,
        rule: Rule,
        sizes: Mapping[Variable, int],
        compatible: Compatible,
    ) -> None:
        self._rule = rule
        self._sizes = sizes
        self._compatible = compatible
        self._case: dict[Variable, int] = {}
        self._looks = 0

    def finds(self, wanted: bool) -> bool:
        """Whether there is such a case; also true if the search was given up."""
        if self._looks > _LOOKS_MOST:
            return True
        outcome, undecided = self._outcome(self._rule)
        if outcome is not None:
            return outcome is wanted
        assert undecided is not None
        for value in range(self._sizes.get(undecided, 2)):
            if all(self._compatible(undecided, value, *other) for other in self._case.items()):
                self._case[undecided] = value
                found = self.finds(wanted)
                del self._case[undecided]
                if found:
                    return True
        return False

    def _outcome(self, rule: Rule) -> tuple[bool | None, Variable | None]:
        """True, false or not settled yet; in the last case a variable that matters."""
        if isinstance(rule, Leaf):
            self._looks += 1
            value = self._case.get(rule.variable)
            return (None, rule.variable) if value is None else (value in rule.accepted, None)
        if rule.kind == "not":
            outcome, undecided = self._outcome(rule.members[0])
            return (None if outcome is None else not outcome), undecided
        settling = rule.kind == "any"
        first: Variable | None = None
        for member in rule.members:
            outcome, undecided = self._outcome(member)
            if outcome is settling:
                return settling, None
            first = first or undecided
        return (None, first) if first else (not settling, None)


def _variables(rule: Rule) -> Iterator[Variable]:
    if isinstance(rule, Leaf):
        yield rule.variable
    else:
        for member in rule.members:
            yield from _variables(member)
