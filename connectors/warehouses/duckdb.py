"""A DuckDB database file: its tables and views, and queries over them or over local files."""

from __future__ import annotations

import difflib
from pathlib import Path

import duckdb

from audience_dsl.definitions import ModelSource, Settings
from audience_dsl.sql import quoted_name
from connectors.warehouses.errors import WarehouseError, explained
from connectors.warehouses.queries import with_absolute_paths
from connectors.warehouses.sandbox import open_sandbox
from connectors.warehouses.selection import Selection


def open_model(root: Path, warehouse: Settings | None, source: ModelSource) -> Selection:
    """What a model is read from, which is no file.

    Raises:
        WarehouseError: it cannot be opened.
    """
    if source.table is not None:
        return _table(root, warehouse, source.table)
    if source.query is not None:
        return _query(root, warehouse, source.query)
    raise WarehouseError("a model needs `from:` with table, query, parquet, csv or json")


def _table(root: Path, warehouse: Settings | None, table: str) -> Selection:
    """A table or view, perhaps with its schema: `users`, `analytics.users`."""
    path = _database(root, warehouse)
    if path is None:
        raise WarehouseError(
            f"table {table}: no database to read it from; give `warehouse: {{type: duckdb, "
            "path: ...}`, or read a file with `from: {parquet: ...}` or `from: {csv: ...}`"
        )
    connection = _open([], path)
    selection = Selection(
        connection,
        ".".join(quoted_name(part) for part in table.split(".")),
        f"table {table} of {path.name}",
    )
    try:
        return _known(selection, table, path)
    except BaseException:
        connection.close()
        raise


def _query(root: Path, warehouse: Settings | None, query: str) -> Selection:
    """One SELECT over the database's tables and over files below the project folder."""
    path = _database(root, warehouse)
    connection = _open([root.resolve()], path)
    try:
        sql = with_absolute_paths(query, root.resolve())
    except BaseException:
        connection.close()
        raise
    return Selection(connection, f"(\n{sql}\n)", "the query")


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


def _open(readable: list[Path], path: Path | None) -> duckdb.DuckDBPyConnection:
    try:
        return open_sandbox(readable, attach=path)
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


def _known(selection: Selection, table: str, path: Path) -> Selection:
    try:
        selection.connection.execute(f"DESCRIBE {selection.sql}").fetchall()
    except duckdb.CatalogException as error:
        with explained(selection.name):
            rows = selection.connection.execute(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_catalog = current_database() ORDER BY table_name"
            ).fetchall()
        names = [name for (name,) in rows]
        close = difflib.get_close_matches(table.rpartition(".")[2], names, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(names) or 'none'}"
        raise WarehouseError(f"warehouse {path.name} has no table {table!r}; {hint}") from error
    return selection
