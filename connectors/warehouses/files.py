"""Parquet, CSV and JSON files, one or a glob of them, read by DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Collection
from pathlib import Path

from audience_dsl.definitions import ModelSource
from audience_dsl.sql import quoted_text
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.sandbox import open_sandbox
from connectors.warehouses.selection import Selection


def open_files(root: Path, source: ModelSource, texts: Collection[str]) -> Selection:
    """What a model is read from, which is files; paths are relative to the project folder `root`.

    Args:
        root: The project folder.
        source: One of Parquet, CSV and JSON.
        texts: Columns that are text where the files leave it open: the key `007` of a CSV file is
            not the number 7.

    Raises:
        WarehouseError: there is no such file.
    """
    if source.parquet is not None:
        return _opened(root, source.parquet, "parquet", "read_parquet", "")
    if source.csv is not None:
        return _typed(root, source.csv, "csv", ", header = true, sample_size = -1", texts)
    assert source.json is not None
    return _typed(root, source.json, "json", ", sample_size = -1", texts)


def _opened(root: Path, path: str, kind: str, function: str, options: str) -> Selection:
    found = _existing(root, path)
    connection = open_sandbox([_folder(found)])
    return Selection(
        connection, f"{function}({quoted_text(str(found))}{options})", f"{kind} {path}"
    )


def _typed(root: Path, path: str, kind: str, options: str, texts: Collection[str]) -> Selection:
    """Types are inferred from all rows, except for the columns `texts`, which stay text."""
    inferred = _opened(root, path, kind, f"read_{kind}", options)
    columns = inferred.columns()
    if not any(name in texts for name in columns):
        return inferred
    # JSON wants all of its columns named, CSV only those that differ.
    named = {
        name: "VARCHAR" if name in texts else type_
        for name, type_ in columns.items()
        if kind == "json" or name in texts
    }
    types = ", ".join(f"{quoted_text(name)}: {quoted_text(type_)}" for name, type_ in named.items())
    key = "columns" if kind == "json" else "types"
    sql = f"{inferred.sql[:-1]}, {key} = {{{types}}})"
    return Selection(inferred.connection, sql, inferred.name)


def _existing(root: Path, path: str) -> Path:
    if "://" in path:
        raise WarehouseError(f"{path}: only local files can be read yet; copy the file here")
    found = root.resolve() / path
    if not glob.glob(str(found), recursive=True):  # noqa: PTH207 - Path.glob refuses absolute ones
        raise WarehouseError(
            f"{path}: no such file below the project folder {root}; check the path, which is "
            "relative to that folder"
        )
    return found


def _folder(found: Path) -> Path:
    """The deepest folder without a wildcard."""
    folder = found.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder
