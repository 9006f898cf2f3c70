"""Related rows at a pull: copied aside, joined with their parents, and aggregated by one statement.

    LEFT JOIN (SELECT the parent's key, an aggregate a condition GROUP BY the parent's key)

All conditions on one related model share one such join, which brings at most one row to a user.

Sums do not depend on the order of rows, which no warehouse promises: whole numbers and decimals
are added up exactly, fractions in the order of their size.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from audience_dsl.definitions import (
    ColumnType,
    Comparison,
    ParentPlan,
    RelatedComparison,
    RelatedModel,
    Settings,
    WarehousePredicate,
    comparisons_of,
)
from audience_dsl.sql import filter_sql, predicate_sql, quoted_name, quoted_text
from connectors.warehouses.registry import open_relation
from warehouse.attributes import copy_columns
from warehouse.columns import readings_of, text_columns
from warehouse.errors import explained
from warehouse.readings import stripped

# Names for columns of our own: with a character that none of a definition's names has.
ROW = quoted_name("\x1frow")
_KEY = quoted_name("\x1fkey")
_HOP = quoted_name("\x1fhop")

_FOLDER = "related"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
# Decimals of so many digits are told apart by the doubles that they are stored as.
_DIGITS_KEPT = 15


@dataclass(frozen=True, slots=True)
class Joined:
    """The users' rows with what their related rows give, and a Boolean expression a predicate."""

    sql: str
    tests: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file of related rows; `exact` are the columns whose sums are exact, by their SQL types.

    `columns` are those of the model, also the ones that were not copied.
    """

    model: RelatedModel
    file: Path
    exact: Mapping[str, str]
    columns: Mapping[str, ColumnType]

    @property
    def sql(self) -> str:
        return f"read_parquet({quoted_text(str(self.file))})"


class RelatedRows:
    """The copied rows of all related models that a plan's predicates ask for, by their keys."""

    def __init__(self, copies: Mapping[str, _Copy]) -> None:
        self._copies = copies

    @property
    def columns(self) -> Sequence[tuple[RelatedModel, Mapping[str, ColumnType]]]:
        """All columns of each model."""
        return [(one.model, one.columns) for one in self._copies.values()]

    def joined(
        self, users: str, predicates: Sequence[WarehousePredicate], key: str, at: int
    ) -> Joined:
        """Join what stands after FROM, whose key is the expression `key`, with what is asked."""
        tests: list[str] = []
        values: list[str] = []
        aggregates: dict[str, list[str]] = {}
        models: dict[str, RelatedModel] = {}
        for number, one in enumerate(predicates):
            if isinstance(one, Comparison):
                tests.append(predicate_sql(one, at))
                continue
            models[one.model.key] = one.model
            found, value = quoted_name(f"\x1ffound {number}"), f"\x1f{number}"
            aggregate = _aggregate(one, self._copies[one.model.key].exact, at)
            aggregates.setdefault(one.model.key, []).append(f"{aggregate} AS {found}")
            nothing = "NULL" if one.of_nothing is None else str(one.of_nothing)
            values.append(f"coalesce({found}, {nothing}) AS {quoted_name(value)}")
            tests.append(predicate_sql(one.over(value), at))
        if not values:
            return Joined(users, tests)
        joins = [
            f"LEFT JOIN (SELECT {_KEY} AS {_key(number)}, {', '.join(of)} "
            f"FROM {self._rows(models[name])} GROUP BY {_KEY}) ON {_key(number)} = {key}"
            for number, (name, of) in enumerate(aggregates.items())
        ]
        sql = f"(SELECT *, {', '.join(values)} FROM {users} {' '.join(joins)})"
        return Joined(sql, tests)

    def _rows(self, model: RelatedModel) -> str:
        """The rows with the parent's key: of a row without one, nothing is left."""
        key = _text(model.foreign_key)
        rows = self._copies[model.key].sql
        if model.through is None:
            return f"(SELECT *, {key} AS {_KEY} FROM {rows} WHERE {key} IS NOT NULL)"
        through = self._copies[model.through.key].sql
        assert model.through.primary_key is not None
        hops = (
            f"SELECT DISTINCT {_text(model.through.primary_key)} AS {_HOP}, "
            f"{_text(model.through.foreign_key)} AS {_KEY} FROM {through}"
        )
        return (
            f'(SELECT * FROM (SELECT *, {key} AS "\x1fvia" FROM {rows}) JOIN ({hops}) '
            f'ON {_HOP} = "\x1fvia" WHERE {_KEY} IS NOT NULL)'
        )


@contextmanager
def related_rows(
    root: Path, warehouse: Settings | None, plan: ParentPlan, aside: Path
) -> Iterator[RelatedRows]:
    """Copy the related models that the plan's predicates ask for; the copies vanish afterwards.

    Raises:
        WarehouseError: a model cannot be read, or its columns are not as declared.
    """
    folder = aside / _FOLDER
    folder.mkdir()
    try:
        copies = {
            model.key: _copy(root, warehouse, model, columns, folder / f"{number}.parquet")
            for number, (model, columns) in enumerate(_asked(plan.predicates))
        }
        yield RelatedRows(copies)
    finally:
        shutil.rmtree(folder)


def _asked(
    predicates: Sequence[WarehousePredicate],
) -> Iterator[tuple[RelatedModel, dict[str, ColumnType]]]:
    """The models, each with the columns that are compared or aggregated."""
    models: dict[str, RelatedModel] = {}
    columns: dict[str, dict[str, ColumnType]] = {}
    for one in predicates:
        if not isinstance(one, RelatedComparison):
            continue
        for model in (one.model, one.model.through):
            if model is not None:
                models[model.key] = model
                columns.setdefault(model.key, {})
        asked = columns[one.model.key]
        for compared in comparisons_of(one.where):
            if compared.type is not None:
                asked[compared.column] = compared.type
        if one.column:
            asked[one.column] = one.model.properties[one.column]
    for key, model in models.items():
        yield model, columns[key]


def _copy(
    root: Path,
    warehouse: Settings | None,
    model: RelatedModel,
    columns: Mapping[str, ColumnType],
    target: Path,
) -> _Copy:
    with (
        explained(f"related model {model.key}"),
        open_relation(
            root, warehouse, model.source, texts=text_columns(model), output=target.parent
        ) as relation,
    ):
        known = readings_of(relation, model, columns)
        readings = {name: one for name, one in known.items() if name in {*model.keys, *columns}}
        copy_columns(relation, readings, target)
        exact = {name: _exact(relation.columns[name], one.stored) for name, one in readings.items()}
    return _Copy(
        model,
        target,
        {name: type_ for name, type_ in exact.items() if type_},
        {name: one.type for name, one in known.items()},
    )


def _exact(original: str, stored: str) -> str:
    """The type in which a column's values can be added up without rounding; "" if there is none."""
    decimal = _DECIMAL.fullmatch(original)
    if decimal is not None and int(decimal[1]) <= _DIGITS_KEPT:
        return f"DECIMAL(38, {decimal[2]})"
    return "BIGINT" if stored == "BIGINT" else ""


def _aggregate(of: RelatedComparison, exact: Mapping[str, str], at: int) -> str:
    which = "" if of.where is None else f" FILTER (WHERE {filter_sql(of.where, at)})"
    column = quoted_name(of.column)
    match of.aggregate:
        case "count":
            return f"count(*){which}"
        case "distinct":
            return f"count(DISTINCT {column}){which}"
        case "min" | "max":
            return f"{of.aggregate}({column}){which}"
    if of.column in exact:
        total = f"sum(CAST({column} AS {exact[of.column]})){which}"
        if exact[of.column] != "BIGINT":
            total = f"CAST({total} AS DOUBLE)"
    else:
        fractions = f"CAST({column} AS DOUBLE)"
        total = f"fsum({fractions} ORDER BY {fractions}){which}"
        # Infinities of both signs add up to no number.
        total = f"CASE WHEN NOT isnan({total}) THEN {total} END"
    if of.aggregate == "sum":
        return total
    return f"CAST({total} AS DOUBLE) / nullif(count({column}){which}, 0)"


def _key(number: int) -> str:
    return quoted_name(f"\x1fkey {number}")


def _text(key: str) -> str:
    return stripped(f"CAST({quoted_name(key)} AS VARCHAR)")
