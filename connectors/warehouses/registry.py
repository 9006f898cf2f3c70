"""Which warehouses there are, and how a parent model's source becomes a relation."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from audience_dsl.definitions import ModelSource, Settings
from connectors.warehouses.duckdb import open_query, open_table
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.files import open_csv, open_parquet
from connectors.warehouses.relation import Relation

WAREHOUSES = ("duckdb",)


def open_relation(
    root: Path,
    warehouse: Settings | None,
    source: ModelSource,
    *,
    texts: Collection[str] = (),
    output: Path | None = None,
) -> Relation:
    """Open what a parent model is read from; close it by leaving the relation's context.

    Args:
        root: The project folder, where relative paths start.
        warehouse: The project's warehouse, if it declares one.
        source: Table, query, Parquet or CSV.
        texts: Columns that are text, where the source itself does not say so (CSV).
        output: The one folder that the connection may write to, and spill to.

    Raises:
        WarehouseError: it cannot be opened.
    """
    if source.parquet is not None:
        return open_parquet(root, source.parquet, output)
    if source.csv is not None:
        return open_csv(root, source.csv, texts, output)
    if warehouse is not None and warehouse.type not in WAREHOUSES:
        raise WarehouseError(
            f"warehouse type {warehouse.type!r} cannot be read yet; the types are: "
            f"{', '.join(WAREHOUSES)}. Until then, export the model to Parquet and read it with "
            "`from: {parquet: ...}`"
        )
    if source.table is not None:
        return open_table(root, warehouse, source.table, output)
    if source.query is not None:
        return open_query(root, warehouse, source.query, output)
    raise WarehouseError("a parent model needs `from:` with table, query, parquet or csv")
