"""The columns of a model: which there are, and the type of each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from audience_dsl.definitions import ColumnType, Settings
from audience_dsl.models import Model
from connectors.warehouses.registry import open_relation
from connectors.warehouses.relation import Relation
from warehouse.errors import WarehouseError
from warehouse.readings import Reading, natural_type, reading

# The forms in which a key may be stored.
_KEYS = ("VARCHAR", "BIGINT", "DECIMAL(38,0)")


def read_columns(root: Path, warehouse: Settings | None, model: Model) -> dict[str, ColumnType]:
    """The types that the warehouse gives to the model's columns, in their order.

    Columns that audiences cannot use (nested records, binary data, times of day) are left out.

    Raises:
        WarehouseError: the warehouse or the model's source cannot be read.
    """
    with open_relation(root, warehouse, model.source, texts=text_columns(model)) as relation:
        types = {name: natural_type(stored) for name, stored in relation.columns.items()}
    return {name: type_ for name, type_ in types.items() if type_ is not None}


def text_columns(model: Model) -> frozenset[str]:
    """Columns that are text by declaration; so are keys, unless they are declared otherwise."""
    declared = {name for name, type_ in model.properties.items() if type_ is ColumnType.STRING}
    return frozenset(declared | (set(model.keys) - model.properties.keys()))


def readings_of(
    relation: Relation, model: Model, declared: Mapping[str, ColumnType]
) -> dict[str, Reading]:
    """How to read each column that audiences or mappings may use, in the relation's order.

    Raises:
        WarehouseError: a column is not there, or not readable as declared; all are told at once.
    """
    problems = [
        _missing(name, relation)
        for name in (*model.keys, *declared)
        if name not in relation.columns
    ]
    readings: dict[str, Reading] = {}
    for name, stored in relation.columns.items():
        type_ = declared.get(name) or natural_type(stored)
        found = None if type_ is None else reading(name, stored, type_)
        if found is not None:
            readings[name] = found
        elif name in declared:
            problems.append(
                f"column {name!r} is {stored} and cannot be read as {declared[name]}: declare "
                "another type, or cast it in a query"
            )
    for name in model.keys:
        key = readings.get(name)
        if name in relation.columns and (key is None or key.stored not in _KEYS):
            problems.append(
                f"key {name!r} is {relation.columns[name]}: a key is text or an integer; cast it "
                "in a query"
            )
    if problems:
        raise WarehouseError(f"{relation.name}: " + "; ".join(dict.fromkeys(problems)))
    return readings


def _missing(name: str, relation: Relation) -> str:
    names = list(relation.columns)
    by_small_letters = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), by_small_letters, n=1)
    if close:
        return f"there is no column {name!r}; did you mean {by_small_letters[close[0]]!r}?"
    return f"there is no column {name!r}; it has: {', '.join(names)}"
