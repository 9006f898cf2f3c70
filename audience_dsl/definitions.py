"""What an audience project says, once it has been read, resolved and checked.

These are the nouns of the product: sources, parent models, event models, conditions, audiences,
destinations and syncs.  Everything behind the language (matching, warehouse, dataflows, command
line) works on these values and never sees YAML.  They are immutable; names have been resolved,
scalars have been read by the type that their field declares, and all durations and instants are
integers in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from engine.plan import Plan


class ColumnType(StrEnum):
    """The type that a property is read as; a value that cannot be read so is missing."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    ARRAY = "array"


# A literal of a definition.  Numbers are `int` where the text is one, else `float`; instants and
# durations are `int` microseconds; lists are tuples.
Literal = str | int | float | bool | tuple["Literal", ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One operator applied to one column: `amount greater_than 300`.

    `column` is the alias of an event property or the name of a parent model's property.
    `type` is the column's type, or `None` where the definition leaves an event property untyped:
    then the value's own JSON type decides, and values of another type than the operand's compare
    as missing do.  `operand` is a tuple for `in`, `not_in`, `between`, `not_between`, `has_*`.
    """

    column: str
    operator: str
    operand: Literal
    type: ColumnType | None = None
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class AllOf:
    of: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    of: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """The Boolean complement: also true where the comparison inside met a missing value."""

    of: Filter


# The `where` of an event condition.  `none: [...]` is `Negation(AnyOf(...))`.
Filter = Comparison | AllOf | AnyOf | Negation


def comparisons_of(where: Filter | None) -> Iterator[Comparison]:
    """All comparisons of a filter, from left to right."""
    match where:
        case Comparison():
            yield where
        case AllOf(of) | AnyOf(of):
            for one in of:
                yield from comparisons_of(one)
        case Negation(inner):
            yield from comparisons_of(inner)


@dataclass(frozen=True, slots=True)
class EventCondition:
    """Which events a plan's condition counts; the count and the window are in the plan.

    `events` are keys of event models: one for `performed` and `did_not_perform`; all of the
    parent model's for the condition that `members: seen` adds (`implicit` is true then, and an
    event that matches nothing else is reported as ignored).
    """

    events: tuple[str, ...]
    where: Filter | None = None
    implicit: bool = False


@dataclass(frozen=True, slots=True)
class PullSchedule:
    """When a parent model is pulled anew: `every` in microseconds, or a cron expression."""

    every: int | None = None
    cron: str | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class PullRules:
    """What a pull may bring, and what is kept of it.

    `max_shrink` is the share of rows, 0 to 1, by which a pull may be smaller than the one before.
    `updated_at` is a column with the instant at which a row has last changed.  `history` is how
    many pulls are remembered.
    """

    max_shrink: float = 0.2
    updated_at: str | None = None
    history: int = 1000


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a parent or related model is read from: exactly one of the first five is set.

    `since` leaves out rows that have not changed: it is a column with the instant of a row's last
    change, and a day such as 2026-03-01.  Rows of that day and later ones are read, and those that
    have no such instant.
    """

    table: str | None = None
    query: str | None = None
    parquet: str | None = None
    csv: str | None = None
    json: str | None = None
    since: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ParentModel:
    """The entity that audiences select; `properties` are typed warehouse columns by name."""

    key: str
    source: ModelSource
    primary_key: str
    pull: PullSchedule
    properties: Mapping[str, ColumnType]
    name: str = ""
    description: str = ""
    rules: PullRules = PullRules()

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that hold keys."""
        return (self.primary_key,)


@dataclass(frozen=True, slots=True)
class RelatedModel:
    """Rows that belong to rows of a parent model, by the key in their column `foreign_key`.

    Where `through` is given they belong to its rows, by their `primary_key`, and with these to the
    parent's: two hops.  `properties` are typed warehouse columns by name.
    """

    key: str
    source: ModelSource
    parent_model: str
    foreign_key: str
    primary_key: str | None = None
    through: RelatedModel | None = None
    properties: Mapping[str, ColumnType] = field(default_factory=dict)
    name: str = ""
    description: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that hold keys."""
        keys = (self.foreign_key, self.primary_key)
        return tuple(dict.fromkeys(key for key in keys if key is not None))


@dataclass(frozen=True, slots=True)
class Collection:
    """Rows of a parent model that are looked up one by one, by its primary key or an index.

    `indexes` are columns of texts or whole numbers; several rows may have one value.  `fields` are
    the columns that a record has, in their order; `None` stands for all.
    """

    key: str
    parent_model: str
    indexes: tuple[str, ...] = ()
    fields: tuple[str, ...] | None = None
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class RelatedComparison:
    """A number that the related rows of one parent row give, compared: `sum of amount above 300`.

    `aggregate` is `count`, `sum`, `avg`, `min`, `max` or `distinct`, of the rows for which `where`
    holds; `column` is what it is taken of, "" for a count.  `operator` and `operand` are those of a
    `Comparison` of numbers.
    """

    model: RelatedModel
    aggregate: str
    column: str
    where: Filter | None
    operator: str
    operand: Literal

    def over(self, column: str) -> Comparison:
        """The same of a column that holds the numbers."""
        return Comparison(column, self.operator, self.operand, ColumnType.NUMBER)

    @property
    def of_nothing(self) -> int | None:
        """The number where there is no row: nothing counts and adds up to 0, and has no average."""
        return 0 if self.aggregate in ("count", "sum", "distinct") else None


# What one bit of a warehouse snapshot says of a user.
WarehousePredicate = Comparison | RelatedComparison


@dataclass(frozen=True, slots=True)
class Property:
    """An event property: its path in the raw record (`properties.cart[0].sku`), and its type."""

    path: str
    type: ColumnType | None = None


@dataclass(frozen=True, slots=True)
class EventModel:
    """Which raw records of a source are this event, and where its fields are.

    `type` is a call type (`page`, `screen`, `identify`, `group`) or the name of a track event.
    The three paths are `None` where the source format's own field is meant.
    """

    key: str
    source: str
    type: str
    parent_model: str
    foreign_key: str | None = None
    timestamp: str | None = None
    message_id: str | None = None
    properties: Mapping[str, Property] = field(default_factory=dict)
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """A section whose keys depend on its `type`: sources, warehouse, destinations, store.

    `options` hold the remaining keys with `${VAR}` already replaced; secrets are among them, so
    `Settings` are never printed.  `filled` is what stands in them for variables: no text for people
    may have it.
    """

    key: str
    type: str
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    filled: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class AudienceDefinition:
    """The facts of an audience that the plan does not need.

    `exits_on_delete` says whether its members exit when its definition is removed.
    """

    key: str
    parent_model: str
    name: str = ""
    description: str = ""
    exits_on_delete: bool = True


@dataclass(frozen=True, slots=True)
class Sync:
    """One audience sent to one destination.

    `mapping` is a template of what is sent (`templates.compile_template`), checked already; `None`
    stands for the transition record.  `only_if` is about the user who enters.  `sends_initial` is
    whether those who are members when the sync is new are sent too, at most `initial_rate` of them
    a second.  `properties` are the columns of the parent model that mapping and `only_if` look at,
    `event_properties` what the mapping names of the event that caused the transition.
    """

    key: str
    audience: str
    destination: str
    on: tuple[str, ...] = ("entered", "exited")
    mapping: Mapping[str, object] | None = None
    only_if: Filter | None = None
    sends_initial: bool = True
    initial_rate: int | None = None
    properties: tuple[str, ...] = ()
    event_properties: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParentPlan:
    """Everything needed to pull one parent model and to evaluate its audiences.

    `conditions[i]` says which events `plan.conditions[i]` counts; `predicates[i]` is the warehouse
    predicate whose outcome is bit `i`.
    """

    parent_model: ParentModel
    plan: Plan
    conditions: tuple[EventCondition, ...]
    predicates: tuple[WarehousePredicate, ...]
    collections: tuple[Collection, ...] = ()


@dataclass(frozen=True, slots=True)
class Project:
    """A whole audience project without mistakes."""

    name: str
    warehouse: Settings | None
    sources: Mapping[str, Settings]
    parent_models: Mapping[str, ParentModel]
    events: Mapping[str, EventModel]
    audiences: Mapping[str, AudienceDefinition]
    destinations: Mapping[str, Settings]
    syncs: Mapping[str, Sync]
    plans: Mapping[str, ParentPlan]
    serving: Mapping[str, object] = field(default_factory=dict)
    store: Settings | None = None
    related_models: Mapping[str, RelatedModel] = field(default_factory=dict)
    collections: Mapping[str, Collection] = field(default_factory=dict)
