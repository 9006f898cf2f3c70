"""Parquet and CSV files, one or a glob of them, read by DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Collection
from pathlib import Path

from audience_dsl.sql import quoted_text
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.relation import Relation
from connectors.warehouses.sandbox import open_sandbox


def open_parquet(root: Path, path: str, output: Path | None) -> Relation:
    """The rows of Parquet files; `path` is relative to the project folder `root`."""
    found = _existing(root, path)
    connection = open_sandbox(_folders(found, output), spill=output)
    return Relation(connection, f"read_parquet({quoted_text(str(found))})", f"parquet {path}")


def open_csv(root: Path, path: str, texts: Collection[str], output: Path | None) -> Relation:
    """The rows of CSV files with a header line.

    Types are inferred from all rows, except for the columns `texts`, which stay text: the key
    `007` is not the number 7.
    """
    found = _existing(root, path)
    connection = open_sandbox(_folders(found, output), spill=output)
    name = f"csv {path}"
    options = f"{quoted_text(str(found))}, header = true, sample_size = -1"
    inferred = Relation(connection, f"read_csv({options})", name)
    kept = [column for column in inferred.columns if column in texts]
    if not kept:
        return inferred
    types = ", ".join(f"{quoted_text(column)}: 'VARCHAR'" for column in kept)
    return Relation(connection, f"read_csv({options}, types = {{{types}}})", name)


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


def _folders(found: Path, output: Path | None) -> list[Path]:
    """The deepest folder without a wildcard, and where the result goes."""
    folder = found.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return [folder] if output is None else [folder, output]
