"""The rows of a parent model, copied once, every column read as its declared type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import duckdb.func

from audience_dsl.definitions import ColumnType, Comparison, ParentPlan, Settings
from audience_dsl.instants import read_instant
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.registry import open_relation
from connectors.warehouses.relation import Relation
from warehouse.columns import readings_of, text_columns
from warehouse.errors import WarehouseError
from warehouse.readings import READ_INSTANT, Reading

# How attributes are written.  Zstd's lowest level makes files as small as its default, in a
# quarter of the time.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What has been copied: the types of the columns, and how many values did not read as such."""

    columns: Mapping[str, ColumnType]
    unreadable: Mapping[str, int]


def copy_attributes(
    root: Path, warehouse: Settings | None, plan: ParentPlan, target: Path
) -> Attributes:
    """Copy the parent model's rows to the Parquet file `target`, in the warehouse's order.

    Raises:
        WarehouseError: the model cannot be read, or its columns are not as declared.
    """
    model = plan.parent_model
    with open_relation(
        root, warehouse, model.source, texts=text_columns(model), output=target.parent
    ) as relation:
        readings = readings_of(relation, model, declared_types(plan))
        unreadable = copy_columns(relation, readings, target)
    return Attributes({name: one.type for name, one in readings.items()}, unreadable)


def copy_columns(
    relation: Relation, readings: Mapping[str, Reading], target: Path
) -> dict[str, int]:
    """Copy the columns to a Parquet file; how many values of each did not read as declared.

    Raises:
        WarehouseError: the rows cannot be read, or none of a column's values as declared.
    """
    columns = [f"{one.sql} AS {quoted_name(name)}" for name, one in readings.items()]
    with relation.reading(), _instants_in_texts(relation.connection, readings):
        relation.connection.execute(
            f"COPY (SELECT {', '.join(columns)} FROM {relation.sql}) "
            f"TO {quoted_text(str(target))} ({PARQUET})"
        )
        return _unreadable(relation, readings, target)


def declared_types(plan: ParentPlan) -> dict[str, ColumnType]:
    """The types that a plan relies on: those declared, and those that its predicates compare.

    Raises:
        WarehouseError: a type is not known.
    """
    types = dict(plan.parent_model.properties)
    for predicate in plan.predicates:
        if not isinstance(predicate, Comparison):
            continue
        if predicate.type is None:
            raise WarehouseError(
                f"property {predicate.column!r} of {plan.parent_model.key} has no type, because "
                "the definitions were read without the warehouse; declare it, or read them again"
            )
        types[predicate.column] = predicate.type
    return types


@contextmanager
def _instants_in_texts(
    connection: duckdb.DuckDBPyConnection, readings: Mapping[str, Reading]
) -> Iterator[None]:
    """Lend DuckDB the function that reads texts as instants, where a column needs it."""
    if not any(READ_INSTANT in one.sql for one in readings.values()):
        yield
        return
    text, number = duckdb.sqltype("VARCHAR"), duckdb.sqltype("BIGINT")
    connection.create_function(
        READ_INSTANT, read_instant, [text], number, null_handling=duckdb.func.SPECIAL
    )
    try:
        yield
    finally:
        connection.remove_function(READ_INSTANT)


def _unreadable(
    relation: Relation, readings: Mapping[str, Reading], copied: Path
) -> dict[str, int]:
    """Values that did not read as their column's type, by column: they count as missing.

    Raises:
        WarehouseError: none of a column's values does, so the declaration must be wrong.
    """
    lossy = [name for name, one in readings.items() if one.lossy]
    if not lossy:
        return {}
    counts = ", ".join(f"count({quoted_name(name)})" for name in lossy)
    statement = f"SELECT count(*), {counts} FROM read_parquet({quoted_text(str(copied))})"
    rows, *readable_of = relation.connection.execute(statement).fetchall()[0]
    unreadable = {}
    for name, readable in zip(lossy, readable_of, strict=True):
        present = rows - relation.rows.nulls[name]
        if present and not readable:
            raise WarehouseError(
                f"none of the {present} values of column {name!r} ({relation.columns[name]}) "
                f"reads as {readings[name].type}; declare another type, or cast it in a query"
            )
        if present > readable:
            unreadable[name] = present - readable
    return unreadable
