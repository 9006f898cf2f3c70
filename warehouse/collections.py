"""Collections: rows of a parent model, found by a key or an index in microseconds.

A pull writes them beside the attributes, as files that are mapped into memory:

    collection.<key>.documents          each row as a JSON object, one after the other
                    .bounds.npy         where each of them begins, and the end of the last
                    .<n>.values         the values of index `n`, ascending by their bytes
                    .<n>.bounds.npy     where each of them begins
                    .<n>.rows.npy       the row that each belongs to

Index 0 is the primary key.  A value is found by halving, which takes some twenty looks among a
million rows, and nothing is loaded before the first question.  Any number of processes share the
pages.  The files belong to a version and never change, so a reader sees rows and indexes of one
pull.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from audience_dsl.definitions import Collection, ColumnType, ParentPlan
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.sandbox import open_sandbox
from engine.plan import Int64s
from warehouse.errors import WarehouseError
from warehouse.readings import stripped
from warehouse.snapshot import ATTRIBUTES, collection_digest

# Rows that are written at once: one of DuckDB's own row groups.
_BATCH = 122_880

# Values by which rows are found are stored in one of these forms.
_INDEXED = ("VARCHAR", "BIGINT", "DECIMAL(38,0)")


def write_collections(
    folder: Path, plan: ParentPlan, types: Mapping[str, ColumnType]
) -> dict[str, str]:
    """Write the plan's collections beside the attributes in a folder; the digest of each.

    Args:
        types: Of the attributes' columns.

    Raises:
        WarehouseError: a column is not there, or cannot be an index.
    """
    if not plan.collections:
        return {}
    connection = open_sandbox([folder], spill=folder)
    try:
        rows = f"read_parquet({quoted_text(str(folder / ATTRIBUTES))}, file_row_number = true)"
        stored = {
            name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {rows}").fetchall()
        }
        for one in plan.collections:
            _check(one, stored)
            fields = one.fields or tuple(types)
            _write_documents(connection, folder, one, rows, {name: types[name] for name in fields})
            key = stripped(f"CAST({quoted_name(plan.parent_model.primary_key)} AS VARCHAR)")
            for number, name in enumerate(("", *one.indexes)):
                value = f"CAST({quoted_name(name)} AS VARCHAR)" if name else key
                _write_index(connection, folder, f"{one.key}.{number}", rows, value)
    finally:
        connection.close()
    return {one.key: collection_digest(one) for one in plan.collections}


def path_of(folder: Path, collection: str, part: str) -> Path:
    return folder / f"collection.{collection}.{part}"


def _check(collection: Collection, stored: dict[str, str]) -> None:
    for name in (*collection.indexes, *(collection.fields or ())):
        if name not in stored:
            raise WarehouseError(
                f"collection {collection.key} names column {name!r}, which the model does not have"
            )
    for name in collection.indexes:
        if stored[name] not in _INDEXED:
            raise WarehouseError(
                f"index {name!r} of collection {collection.key} is {stored[name]}: an index is "
                "text or an integer; cast it in a query"
            )


def _write_documents(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    collection: Collection,
    rows: str,
    types: dict[str, ColumnType],
) -> None:
    fields = [f"{quoted_text(name)}, {_json(name, kind)}" for name, kind in types.items()]
    statement = (
        f"SELECT CAST(json_object({', '.join(fields)}) AS VARCHAR), file_row_number FROM {rows}"
    )
    texts, bounds = (path_of(folder, collection.key, one) for one in ("documents", "bounds.npy"))
    places = _write_texts(connection, statement, texts, bounds)
    # DuckDB gives rows in the file's order unless it is told that this does not matter.
    if not np.array_equal(places, np.arange(len(places))):
        raise WarehouseError(f"the rows of collection {collection.key} were read out of order")


def _json(name: str, type_: ColumnType) -> str:
    """The column as it stands in a document."""
    column = quoted_name(name)
    if type_ is ColumnType.TIMESTAMP:
        return f"strftime({column}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if type_ is ColumnType.ARRAY:
        # It may be the text of a JSON array, which is to stand in the document as it is.
        text = f"CAST(CAST({column} AS VARCHAR) AS JSON)"
        return f"CASE WHEN typeof({column}) = 'VARCHAR' THEN {text} ELSE to_json({column}) END"
    return column


def _write_index(
    connection: duckdb.DuckDBPyConnection, folder: Path, name: str, rows: str, value: str
) -> None:
    statement = (
        f"SELECT value, place FROM (SELECT {value} AS value, file_row_number AS place FROM {rows}) "
        "WHERE value IS NOT NULL ORDER BY value, place"
    )
    values, bounds = path_of(folder, name, "values"), path_of(folder, name, "bounds.npy")
    places = _write_texts(connection, statement, values, bounds)
    np.save(path_of(folder, name, "rows.npy"), places, allow_pickle=False)


def _write_texts(
    connection: duckdb.DuckDBPyConnection, statement: str, target: Path, bounds: Path
) -> Int64s:
    """Write the texts of the first column; return the numbers of the second."""
    ends = [np.zeros(1, dtype=np.int64)]
    numbers = [np.zeros(0, dtype=np.int64)]
    end = 0
    with target.open("wb") as file:
        for batch in connection.sql(statement).to_arrow_reader(_BATCH):
            texts = batch.column(0).cast(pa.large_string())
            _, starts, data = texts.buffers()
            places = np.frombuffer(starts, dtype=np.int64)[
                texts.offset : texts.offset + len(texts) + 1
            ]
            if len(texts):
                file.write(memoryview(data or b"")[places[0] : places[-1]])
                ends.append(places[1:] - places[0] + end)
                end = int(ends[-1][-1])
            numbers.append(batch.column(1).to_numpy())
    np.save(bounds, np.concatenate(ends), allow_pickle=False)
    return np.concatenate(numbers)
