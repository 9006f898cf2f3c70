"""Which event models matter, and where a record has what they need.

A *reading* is one way to take a record for an event of a parent model: where its user, its instant
and its message id are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from audience_dsl.definitions import Comparison, EventModel, Filter, ParentPlan, comparisons_of
from connectors.sources.format import Format
from connectors.sources.paths import Path, parse_path


@dataclass(frozen=True, slots=True)
class Reading:
    """Where a record has the key of the parent model's user, its instant, and its message id."""

    parent: str
    key: Path
    timestamp: Path
    message_id: Path


@dataclass(slots=True)
class Interest:
    """An event model, and the numbers and filters of the conditions that count it.

    `carried` are the properties that are brought along to deliveries.
    """

    model: EventModel
    reading: Reading
    conditions: list[tuple[int, Filter | None]] = field(default_factory=list)
    carried: frozenset[str] = frozenset()

    def path_of(self, comparison: Comparison) -> Path:
        return parse_path(self.model.properties[comparison.column].path)

    def paths(self) -> Iterable[Path]:
        yield from (self.reading.key, self.reading.timestamp, self.reading.message_id)
        for _, where in self.conditions:
            yield from map(self.path_of, comparisons_of(where))
        for alias in self.carried:
            yield parse_path(self.model.properties[alias].path)


# By parent model, the numbers of conditions.
Only = Mapping[str, Collection[int]]

# By parent model, the properties of events that deliveries want to know.
Carried = Mapping[str, Collection[str]]


def interests(
    models: Iterable[EventModel],
    plans: Mapping[str, ParentPlan],
    format: Format,
    only: Only | None = None,
    carried: Carried | None = None,
) -> list[Interest]:
    """The event models that matter to the plans, or to some conditions `only`.

    Raises:
        ValueError: a path of an event model is malformed.
    """
    found = []
    for model in models:
        plan = plans.get(model.parent_model)
        if plan is None:
            continue
        interest = Interest(
            model,
            Reading(
                model.parent_model,
                parse_path(model.foreign_key or format.key),
                parse_path(model.timestamp or format.timestamp),
                parse_path(model.message_id or format.message_id),
            ),
            [
                (n, one.where)
                for n, one in enumerate(plan.conditions)
                if model.key in one.events and (only is None or n in only[model.parent_model])
            ],
            frozenset((carried or {}).get(model.parent_model, ())) & model.properties.keys(),
        )
        if interest.conditions or (only is None and plan.plan.audiences):
            found.append(interest)
    return found
