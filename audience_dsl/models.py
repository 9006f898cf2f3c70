"""Parent models, event models and the settings of the systems around, from what was read.

Columns have their types either from the definitions or from the warehouse, which is asked through
a function: the language itself reaches nothing.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from croniter import CroniterError, croniter  # type: ignore[import-untyped]

from audience_dsl.definitions import (
    ColumnType,
    EventModel,
    ModelSource,
    ParentModel,
    Property,
    PullRules,
    PullSchedule,
    RelatedModel,
    Settings,
)
from audience_dsl.diagnostics import quoted
from audience_dsl.documents import Scalar, filled_in
from audience_dsl.durations import DAY, read_duration
from audience_dsl.reading import Entry, Fields, Reader


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The warehouse cannot be asked; the reason, for people."""

    reason: str


Model = ParentModel | RelatedModel
Columns = Callable[[Settings | None, Model], Mapping[str, ColumnType] | Unreachable | None]


@dataclass(slots=True)
class KnownColumns:
    """The columns that conditions may use.

    `places` are all of their names, with the key in the definitions where they stand there; `open`
    means that others may exist as well, since neither definitions nor warehouse could say.
    """

    types: dict[str, ColumnType | None]
    places: dict[str, Scalar | None] = field(default_factory=dict)
    open: bool = False


def settings(key: str, fields: Fields) -> Settings:
    filled = [text for node in fields.nodes.values() for text in filled_in(node)]
    return Settings(key, fields.form, fields.plain(), tuple(filled))


def parent_model(key: str, fields: Fields, reader: Reader) -> ParentModel | None:
    source, primary_key = fields.get("from"), fields.get("primary_key")
    pull = _pull(fields.get("pull"), reader)
    if source is None or primary_key is None or pull is None or len(source.values) != 1:
        return None
    return ParentModel(
        key,
        ModelSource(**source.values),
        primary_key,
        pull,
        _declared(fields),
        fields.get("name", ""),
        fields.get("description", ""),
        _rules(fields.get("pull")),
    )


def related_model(
    key: str, fields: Fields, through: RelatedModel | None, reader: Reader
) -> RelatedModel | None:
    """`through` is the model that `related_model` names, where that could be read."""
    source, foreign_key = fields.get("from"), fields.get("foreign_key")
    parent = fields.get("parent_model") if through is None else through.parent_model
    if source is None or foreign_key is None or parent is None or len(source.values) != 1:
        return None
    if through is not None and through.through is not None:
        message = f"{quoted(key)} is more than two steps away from {quoted(parent)}"
        advice = f"join it with {quoted(through.key)} in a query"
        reader.fail(fields.at("related_model"), "too-far", message, advice)
        return None
    if through is not None and through.primary_key is None:
        message = f"related model {quoted(through.key)} has no primary_key to refer to"
        advice = f"name the column of {quoted(through.key)} that {foreign_key!r} refers to"
        reader.fail(fields.at("related_model"), "missing-key", message, advice)
        return None
    return RelatedModel(
        key,
        ModelSource(**source.values),
        parent,
        foreign_key,
        fields.get("primary_key"),
        through,
        _declared(fields),
        fields.get("name", ""),
        fields.get("description", ""),
    )


def _declared(fields: Fields) -> dict[str, ColumnType]:
    return {
        name: ColumnType(entry.value)
        for name, entry in fields.get("properties", {}).items()
        if entry.value is not None
    }


_Model = TypeVar("_Model", ParentModel, RelatedModel)


def known_columns(
    model: _Model, fields: Fields, warehouse: Settings | None, columns: Columns, reader: Reader
) -> tuple[_Model, KnownColumns]:
    """Check the model against the warehouse; the model returned has all types that are known."""
    declared: dict[str, Entry] = fields.get("properties", {})
    places: dict[str, Scalar | None] = {name: entry.key for name, entry in declared.items()}
    actual = columns(warehouse, model)
    if actual is None or isinstance(actual, Unreachable):
        if not declared:
            reason = f": {actual.reason}" if actual else ""
            message = f"the columns of '{model.key}' cannot be checked{reason}"
            advice = "declare the columns that audiences use under properties"
            reader.found.warning(fields.at("from"), "unchecked", message, advice)
        return model, KnownColumns(dict(model.properties), places, open=not declared)
    spans = {fields.get(one): fields.at(one) for one in _KEYS if one in fields.values}
    spans |= {name: key.span for name, key in places.items() if key is not None}
    for name, span in spans.items():
        if name not in actual:
            reader.unknown(span, "column", name, dict.fromkeys(actual))
    _check_updated_at(model, fields, actual, reader)
    if declared:
        return model, KnownColumns(dict(model.properties), places)
    types = dict(actual)
    return replace(model, properties=types), KnownColumns(dict(types), dict.fromkeys(types))


_KEYS = ("primary_key", "foreign_key")


def _check_updated_at(
    model: Model, fields: Fields, actual: Mapping[str, ColumnType], reader: Reader
) -> None:
    name = model.rules.updated_at if isinstance(model, ParentModel) else None
    if name is None:
        return
    span = fields.get("pull").at("updated_at")
    type_ = model.properties.get(name) or actual.get(name)
    if name not in actual:
        reader.unknown(span, "column", name, dict.fromkeys(actual))
    elif type_ is not ColumnType.TIMESTAMP:
        message = f"column {quoted(name)} is a {type_}, and no instant at which a row has changed"
        reader.fail(span, "wrong-type", message, "name a timestamp column, or remove it")


def _pull(fields: Fields | None, reader: Reader) -> PullSchedule | None:
    if fields is None or not fields.nodes:
        return PullSchedule(every=DAY)
    cron, timezone = fields.get("cron"), fields.get("timezone", "UTC")
    if "timezone" in fields.nodes and "cron" not in fields.nodes:
        message = "'timezone' says when a cron expression is meant, and there is none"
        reader.fail(fields.keys["timezone"].span, "missing-key", message, "remove it or add cron")
        return None
    if timezone not in _timezones():
        word = fields.written("timezone")
        reader.unknown(fields.at("timezone"), "time zone", word, dict.fromkeys(_timezones()))
        return None
    if "cron" not in fields.nodes:
        if "every" not in fields.nodes:
            return PullSchedule(every=DAY)
        every = fields.get("every")
        return None if every is None else PullSchedule(every=read_duration(every))
    if cron is None:
        return None
    if not _fires(cron):
        message = f"{quoted(fields.written('cron'))} is no cron expression that ever fires"
        advice = 'write five fields: minute hour day month weekday, such as "0 */2 * * *"'
        reader.fail(fields.at("cron"), "wrong-value", message, advice)
        return None
    return PullSchedule(cron=cron, timezone=timezone)


def _rules(fields: Fields | None) -> PullRules:
    if fields is None:
        return PullRules()
    share = fields.get("max_shrink") or "20%"
    return PullRules(
        max_shrink=float(share.rstrip("%")) / 100,
        updated_at=fields.get("updated_at"),
        history=fields.get("history") or 1000,
    )


@cache
def _timezones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) | {"UTC"}


def _fires(cron: str) -> bool:
    # The library's extensions (seconds, random and hashed fields) are not part of the promise.
    if len(cron.split()) != 5 or any(part[0] in "RrHh" for part in cron.split()):
        return False
    try:
        croniter(cron, datetime(2024, 1, 1, tzinfo=UTC)).get_next()
    except (CroniterError, ValueError, KeyError, IndexError, TypeError):
        return False
    return True


def event_model(key: str, fields: Fields) -> EventModel | None:
    """The properties that could not be read are left out."""
    source, kind, parent = (fields.get(name) for name in ("source", "type", "parent_model"))
    if source is None or kind is None or parent is None:
        return None
    properties: dict[str, Property] = {}
    for alias, entry in fields.get("properties", {}).items():
        if isinstance(entry.value, str):
            properties[alias] = Property(entry.value)
        elif isinstance(entry.value, Fields) and "column" in entry.value.values:
            declared = entry.value.get("type")
            column_type = ColumnType(declared) if declared is not None else None
            properties[alias] = Property(entry.value.get("column"), column_type)
    return EventModel(
        key,
        source,
        kind,
        parent,
        fields.get("foreign_key"),
        fields.get("timestamp"),
        fields.get("message_id"),
        properties,
        fields.get("name", ""),
        fields.get("description", ""),
    )
