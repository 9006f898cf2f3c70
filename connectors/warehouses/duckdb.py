"""A DuckDB database file: its tables and views, and queries over them or over local files."""

from __future__ import annotations

import difflib
from pathlib import Path

import duckdb

from audience_dsl.definitions import Settings
from audience_dsl.sql import quoted_name
from connectors.warehouses.errors import WarehouseError, explained
from connectors.warehouses.queries import with_absolute_paths
from connectors.warehouses.relation import Relation
from connectors.warehouses.sandbox import open_sandbox


def open_table(root: Path, warehouse: Settings | None, table: str, output: Path | None) -> Relation:
    """A table or view, perhaps with its schema: `users`, `analytics.users`."""
    path = _database(root, warehouse)
    if path is None:
        raise WarehouseError(
            f"table {table}: no database to read it from; give `warehouse: {{type: duckdb, "
            "path: ...}`, or read a file with `from: {parquet: ...}` or `from: {csv: ...}`"
        )
    connection = _open([] if output is None else [output], output, path)
    relation = Relation(
        connection,
        ".".join(quoted_name(part) for part in table.split(".")),
        f"table {table} of {path.name}",
    )
    try:
        return _known(relation, table, path)
    except BaseException:
        connection.close()
        raise


def open_query(root: Path, warehouse: Settings | None, query: str, output: Path | None) -> Relation:
    """One SELECT over the database's tables and over files below the project folder."""
    path = _database(root, warehouse)
    readable = [root.resolve()] if output is None else [root.resolve(), output]
    connection = _open(readable, output, path)
    try:
        sql = with_absolute_paths(query, root.resolve())
    except BaseException:
        connection.close()
        raise
    return Relation(connection, f"(\n{sql}\n)", "the query")


def _database(root: Path, warehouse: Settings | None) -> Path | None:
    path = None if warehouse is None else warehouse.options.get("path")
    if path is None:
        return None
    found = root.resolve() / str(path)
    if not found.is_file():
        raise WarehouseError(
            f"warehouse {path}: no such file below the project folder {root}; check "
            "`warehouse: path`, which is relative to that folder"
        )
    return found


def _open(
    readable: list[Path], output: Path | None, path: Path | None
) -> duckdb.DuckDBPyConnection:
    try:
        return open_sandbox(readable, spill=output, attach=path)
    except duckdb.Error as error:
        name = path.name if path is not None else "memory"
        if "lock" in str(error).lower():
            raise WarehouseError(
                f"warehouse {name}: another process has it open for writing; close that process, "
                "or point `warehouse: path` at a copy"
            ) from error
        raise WarehouseError(
            f"warehouse {name}: not a readable DuckDB database; it may be damaged or of another "
            f"version ({str(error).splitlines()[0]})"
        ) from error


def _known(relation: Relation, table: str, path: Path) -> Relation:
    try:
        relation.connection.execute(f"DESCRIBE {relation.sql}")
    except duckdb.CatalogException as error:
        with explained(relation.name):
            rows = relation.connection.execute(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_catalog = current_database() ORDER BY table_name"
            ).fetchall()
        names = [name for (name,) in rows]
        close = difflib.get_close_matches(table.rpartition(".")[2], names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(names) or 'none'}"
        raise WarehouseError(f"warehouse {path.name} has no table {table!r}; {hint}") from error
    return relation
