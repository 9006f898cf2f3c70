"""A project's own query: one SELECT, whose relative file paths start at the project folder.

DuckDB would look relative paths up in the process's working folder, which is nobody's business.
Its parser gives the statement as a tree, in which the files are the tables with a path for a name
and the first argument of the reading functions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from connectors.warehouses.errors import WarehouseError

_READERS = frozenset(
    {
        "parquet_scan",
        "read_csv",
        "read_csv_auto",
        "read_json",
        "read_json_auto",
        "read_ndjson",
        "read_ndjson_auto",
        "read_parquet",
    }
)
_FILES = (".parquet", ".csv", ".csv.gz", ".json", ".json.gz", ".jsonl", ".ndjson", ".tsv")


def with_absolute_paths(query: str, root: Path) -> str:
    """The query, ready to stand in parentheses.

    Raises:
        WarehouseError: it is not exactly one SELECT statement.
    """
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise WarehouseError(f"the query cannot be read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1 or statements[0].type is not duckdb.StatementType.SELECT:
        raise WarehouseError(
            "the query must be exactly one SELECT statement; it may begin with WITH, and reads only"
        )
    connection = duckdb.connect(":memory:")
    try:
        tree = _answer(connection, "json_serialize_sql(?)", query)
        _make_absolute(parsed := json.loads(tree), root)
        return _answer(connection, "json_deserialize_sql(?)", json.dumps(parsed))
    except duckdb.Error:
        # A few forms of SELECT, PIVOT among them, have no tree; their paths stay as they are.
        return query.strip().rstrip(";")
    finally:
        connection.close()


def _answer(connection: duckdb.DuckDBPyConnection, call: str, argument: str) -> str:
    row = connection.execute(f"SELECT CAST({call} AS VARCHAR)", [argument]).fetchone()
    if row is None:
        raise duckdb.InternalException(f"{call} gave no row")
    return str(row[0])


def _make_absolute(node: Any, root: Path) -> None:
    if isinstance(node, list):
        for one in node:
            _make_absolute(one, root)
        return
    if not isinstance(node, dict):
        return
    if node.get("type") == "BASE_TABLE" and _is_file(node):
        node["table_name"] = str(root / node["table_name"])
        node["qualified_name"] = {"path": [node["table_name"]]}
    elif node.get("type") == "TABLE_FUNCTION" and node["function"]["function_name"] in _READERS:
        for argument in node["function"]["arguments"][:1]:
            _make_constants_absolute(argument, root)
    for one in node.values():
        _make_absolute(one, root)


def _is_file(node: dict[str, Any]) -> bool:
    unqualified = not node.get("schema_name") and not node.get("catalog_name")
    return unqualified and node["table_name"].lower().endswith(_FILES)


def _make_constants_absolute(node: Any, root: Path) -> None:
    """Constants below the first argument: one path, or a list of them."""
    if isinstance(node, list):
        for one in node:
            _make_constants_absolute(one, root)
    elif isinstance(node, dict):
        literal = node.get("literal")
        if isinstance(literal, dict) and literal.get("kind") == "STRING":
            literal["text"] = str(root / literal["text"])
            return
        for one in node.values():
            _make_constants_absolute(one, root)
