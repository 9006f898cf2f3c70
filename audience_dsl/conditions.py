"""What an audience's `where` means: names and operands resolved against models and columns.

The outcome is the engine's tree.  Event conditions and warehouse predicates are interned: those
with the same words are the same, whichever audiences they stand in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any as Value

from audience_dsl.cases import can_match
from audience_dsl.catalog import Catalog
from audience_dsl.counts import in_order
from audience_dsl.definitions import (
    EventCondition,
    EventModel,
    Filter,
    WarehousePredicate,
)
from audience_dsl.diagnostics import Span, listed, quoted
from audience_dsl.filters import FilterResolver
from audience_dsl.reading import Fields, Reader
from audience_dsl.related_conditions import RelatedResolver
from audience_dsl.wording import condition_words, predicate_words
from engine.plan import All, Any, Condition, MemberOf, Not, Performed, Predicate, Tree


@dataclass(slots=True)
class Interned:
    """The distinct conditions and predicates of one parent model, numbered as they come."""

    events: list[EventCondition] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    predicates: list[WarehousePredicate] = field(default_factory=list)
    _condition_numbers: dict[str, int] = field(default_factory=dict)
    _predicate_numbers: dict[str, int] = field(default_factory=dict)

    def condition(
        self, of: EventCondition, window: int, minimum: int, maximum: int | None
    ) -> Performed:
        words = condition_words(of, window, minimum, maximum)
        if words not in self._condition_numbers:
            self._condition_numbers[words] = len(self.conditions)
            self.events.append(of)
            self.conditions.append(Condition(words, window, minimum, maximum))
        return Performed(self._condition_numbers[words])

    def predicate(self, of: WarehousePredicate) -> Predicate:
        number = self._predicate_numbers.setdefault(predicate_words(of), len(self.predicates))
        if number == len(self.predicates):
            self.predicates.append(of)
        return Predicate(number)


class ConditionResolver:
    """Resolves the conditions of one audience.

    After `resolve`, `windows` are those of its event conditions and `references` the audiences it
    names, with the place of each.
    """

    def __init__(self, parent: str, catalog: Catalog, interned: Interned, reader: Reader) -> None:
        self._parent = parent
        self._catalog = catalog
        self._interned = interned
        self._reader = reader
        self._filters = FilterResolver(reader)
        self.windows: list[int] = []
        self.references: dict[str, Span] = {}

    def resolve(self, fields: Fields) -> Tree | None:
        """The tree; `None` if a part that it needs was reported as broken."""
        match fields.form:
            case "performed" | "did_not_perform":
                return self._event(fields)
            case "property":
                return self._property(fields)
            case "related":
                resolver = RelatedResolver(self._parent, self._catalog, self._reader)
                predicate = resolver.resolve(fields)
                return None if predicate is None else self._interned.predicate(predicate)
            case "in_audience" | "not_in_audience":
                return self._membership(fields)
            case "not":
                inner = fields.get("not")
                tree = self.resolve(inner) if inner else None
                return None if tree is None else Not(tree)
            case group:
                members = [self.resolve(one) if one else None for one in fields.get(group) or ()]
                trees = tuple(tree for tree in members if tree is not None)
                if not trees or len(trees) < len(members):
                    return None
                return All(trees) if group == "all" else _any(trees, negated=group == "none")

    def _event(self, fields: Fields) -> Tree | None:
        event = fields.get(fields.form)
        window = fields.get("within")
        bounds = self._bounds(fields)
        if window is not None:
            self.windows.append(window)
        model = self._catalog.events.get(event) if event is not None else None
        if model is None:
            return None
        if model.parent_model != self._parent:
            message = f"{quoted(model.key)} is an event of {quoted(model.parent_model)}"
            own = [one.key for one in self._own_events()]
            advice = f"this audience selects {quoted(self._parent)}, "
            advice += f"whose events are {listed(own, 'and')}" if own else "which has no events"
            self._reader.fail(fields.at(fields.form), "other-parent", message, advice)
            return None
        where: Filter | None = None
        if "where" in fields.nodes:
            where = self._where(fields, model)
            if where is None:
                return None
        if window is None or bounds is None:
            return None
        return self._interned.condition(EventCondition((model.key,), where), window, *bounds)

    def _own_events(self) -> list[EventModel]:
        events = self._catalog.events.values()
        return [model for model in events if model and model.parent_model == self._parent]

    def _bounds(self, fields: Fields) -> tuple[int, int | None] | None:
        """The least and the most count that make the condition true."""
        if fields.form == "did_not_perform":
            return 0, 0
        given = [name for name in fields.values if name in _BOUNDS]
        if not given:
            return None if fields.nodes.keys() & _BOUNDS.keys() else (1, None)
        value = fields.get(given[0])
        if given[0] != "between":
            return _BOUNDS[given[0]](value)
        return in_order(value, fields.at("between"), self._reader)

    def _where(self, fields: Fields, model: EventModel) -> Filter | None:
        if model.type == "identify":
            message = f"{quoted(model.key)} is an identify call: what it says of a user is read "
            message += "from the warehouse, not from events"
            advice = "use property: NAME, a column of the parent model"
            self._reader.fail(fields.keys["where"].span, "identify", message, advice)
            return None
        where = fields.get("where")
        if where is None:
            return None
        resolved = self._filters.filter(
            where, self._catalog.event_properties[model.key], f" of {model.key}"
        )
        if resolved is not None and not can_match(resolved):
            message = f"no {model.key} can ever pass this filter: its parts exclude each other"
            advice = "perhaps any, or in: [a, b], is meant"
            self._reader.found.warning(fields.keys["where"].span, "never", message, advice)
        return resolved

    def _property(self, fields: Fields) -> Tree | None:
        columns = self._catalog.parent_columns.get(self._parent)
        if columns is None:
            return None
        comparison = self._filters.comparison(fields, columns, f" of {self._parent}")
        return None if comparison is None else self._interned.predicate(comparison)

    def _membership(self, fields: Fields) -> Tree | None:
        audience = fields.get(fields.form)
        if audience is None:
            return None
        span = fields.at(fields.form)
        self.references.setdefault(audience, span)
        parent = self._catalog.audience_parents.get(audience)
        if parent is None:
            return None
        if parent != self._parent:
            message = f"audience {quoted(audience)} selects {quoted(parent)}, not "
            message += quoted(self._parent)
            advice = "an audience can refer only to audiences of its own parent model"
            self._reader.fail(span, "other-parent", message, advice)
            return None
        tree = MemberOf(audience)
        return tree if fields.form == "in_audience" else Not(tree)


_BOUNDS: dict[str, Callable[[Value], tuple[int, int | None]]] = {
    "at_least": lambda n: (n, None),
    "at_most": lambda n: (0, n),
    "exactly": lambda n: (n, n),
    "more_than": lambda n: (n + 1, None),
    "less_than": lambda n: (0, n - 1),
    "between": lambda pair: (pair[0], pair[1]),
}


def _any(trees: tuple[Tree, ...], *, negated: bool) -> Tree:
    joined = Any(trees) if len(trees) > 1 else trees[0]
    return Not(joined) if negated else joined
