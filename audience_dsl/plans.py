"""Audiences of one parent model to one engine plan, with a version for each audience.

The version is a digest of what the audience means, down to the paths in the raw records: renaming
an event, reordering conditions or moving text between files leaves it alone, and any change that
could move a member changes it, also one in an audience that it refers to.  In the same way the plan
names events and predicates, by which state is carried over to the plan of changed definitions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from audience_dsl.conditions import Interned
from audience_dsl.definitions import (
    Comparison,
    EventModel,
    ParentModel,
    ParentPlan,
    RelatedModel,
    WarehousePredicate,
)
from audience_dsl.operators import holds
from audience_dsl.wording import aggregate_words, filter_words, predicate_words
from engine.plan import All, Any, Audience, MemberOf, Not, Performed, Plan, Predicate, Tree


def parent_plan(
    model: ParentModel,
    interned: Interned,
    trees: Mapping[str, Tree],
    events: Mapping[str, EventModel],
) -> ParentPlan:
    """Compile; `trees` has the audiences with references first."""
    meaning = _Meaning(model, interned, events)
    audiences = []
    for key, tree in trees.items():
        meaning.versions[key] = version = _digest(meaning.of(tree))
        audiences.append(Audience(key, version, tree))
    absent = [_holds_for_strangers(predicate) for predicate in interned.predicates]
    conditions = [
        replace(condition, of=_digest(meaning.of_events(number)))
        for number, condition in enumerate(interned.conditions)
    ]
    predicates = [_digest(meaning.of_predicate(one)) for one in interned.predicates]
    plan = Plan.build(model.key, conditions, absent, audiences, predicates)
    return ParentPlan(model, plan, tuple(interned.events), tuple(interned.predicates))


def with_removed(of: ParentPlan, keys: Iterable[str]) -> ParentPlan:
    """The same with audiences that nobody is in, so that those who were in them exit."""
    removed = [Audience(key, _digest("nobody"), Any(())) for key in keys]
    plan = of.plan
    audiences = [*plan.audiences, *removed]
    plan = Plan.build(plan.parent_model, plan.conditions, plan.absent, audiences, plan.predicates)
    return replace(of, plan=plan)


def _holds_for_strangers(predicate: WarehousePredicate) -> bool:
    """Whether it holds for users whom the warehouse does not know."""
    if isinstance(predicate, Comparison):
        return holds(predicate, None, at=0)
    return holds(predicate.over(""), predicate.of_nothing, at=0)


class _Meaning:
    """Trees as texts that are equal for equal meanings."""

    def __init__(
        self, model: ParentModel, interned: Interned, events: Mapping[str, EventModel]
    ) -> None:
        self._rows = repr((model.source, model.primary_key))
        self._interned = interned
        self._events = events
        self.versions: dict[str, str] = {}

    def of(self, tree: Tree) -> str:
        match tree:
            case Performed(condition):
                return self._condition(condition)
            case Predicate(predicate):
                return self.of_predicate(self._interned.predicates[predicate])
            case MemberOf(audience):
                return f"member of {self.versions[audience]}"
            case Not(of=inner):
                return f"not({self.of(inner)})"
            case All(of):
                return self._group("all", of)
            case Any(of):
                return self._group("any", of)

    def _group(self, kind: str, trees: tuple[Tree, ...]) -> str:
        members = sorted({self.of(tree) for tree in trees})
        return members[0] if len(members) == 1 else f"{kind}({';'.join(members)})"

    def of_events(self, number: int) -> str:
        """The events that a condition counts."""
        return repr(self._counted(number))

    def of_predicate(self, predicate: WarehousePredicate) -> str:
        if isinstance(predicate, Comparison):
            return f"{self._rows} {predicate_words(predicate)} {predicate.type}"
        types = predicate.model.properties
        aggregate = aggregate_words(predicate, lambda name: f"{name}: {types.get(name)}")
        test = repr((predicate.operator, predicate.operand))
        return f"{self._rows} {_path(predicate.model)} {aggregate} {test}"

    def _condition(self, number: int) -> str:
        condition = self._interned.conditions[number]
        bounds = (condition.window, condition.minimum, condition.maximum)
        return repr((*self._counted(number), bounds))

    def _counted(self, number: int) -> tuple[list[str], str]:
        of = self._interned.events[number]
        models = [self._events[event] for event in of.events]
        events = sorted(
            repr((m.source, m.type, m.foreign_key, m.timestamp, m.message_id)) for m in models
        )
        where = ""
        if of.where is not None:
            properties = models[0].properties
            where = filter_words(of.where, lambda alias: repr(properties[alias]))
        return events, where


def _path(model: RelatedModel | None) -> str:
    """Where the rows of a related model come from, up to the parent's."""
    if model is None:
        return ""
    return repr((model.source, model.foreign_key, model.primary_key, _path(model.through)))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
