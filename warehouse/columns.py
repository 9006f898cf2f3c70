"""The columns of a parent model: which there are, and the type of each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from audience_dsl.definitions import ColumnType, ParentModel, Settings
from connectors.warehouses.registry import open_relation
from connectors.warehouses.relation import Relation
from warehouse.errors import WarehouseError
from warehouse.readings import Reading, natural_type, reading


def read_columns(
    root: Path, warehouse: Settings | None, model: ParentModel
) -> dict[str, ColumnType]:
    """The types that the warehouse gives to the model's columns, in their order.

    Columns that audiences cannot use (nested records, binary data, times of day) are left out.

    Raises:
        WarehouseError: the warehouse or the model's source cannot be read.
    """
    with open_relation(root, warehouse, model.source, texts=text_columns(model)) as relation:
        types = {name: natural_type(stored) for name, stored in relation.columns.items()}
    return {name: type_ for name, type_ in types.items() if type_ is not None}


def text_columns(model: ParentModel) -> frozenset[str]:
    """Columns that are text by declaration; so is the key, unless it is declared otherwise."""
    declared = {name for name, type_ in model.properties.items() if type_ is ColumnType.STRING}
    return frozenset(declared | ({model.primary_key} - model.properties.keys()))


def readings_of(
    relation: Relation, model: ParentModel, declared: Mapping[str, ColumnType]
) -> dict[str, Reading]:
    """How to read each column that audiences or mappings may use, in the relation's order.

    Raises:
        WarehouseError: a column is not there, or not readable as declared; all are told at once.
    """
    problems = [
        _missing(name, relation)
        for name in (model.primary_key, *declared)
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
    key = readings.get(model.primary_key)
    if model.primary_key in relation.columns and (
        key is None or key.stored not in ("VARCHAR", "BIGINT", "DECIMAL(38,0)")
    ):
        problems.append(
            f"primary key {model.primary_key!r} is {relation.columns[model.primary_key]}: a key "
            "is text or an integer; cast it in a query"
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
