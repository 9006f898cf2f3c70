"""Which warehouses there are, and how a model's source becomes a relation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from audience_dsl.definitions import ModelSource, Settings
from connectors.warehouses.bigquery import BigQuery
from connectors.warehouses.databricks import Databricks
from connectors.warehouses.duckdb import open_model
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.files import open_files
from connectors.warehouses.limits import Limits
from connectors.warehouses.mysql import MySQL
from connectors.warehouses.postgres import Postgres
from connectors.warehouses.redshift import Redshift
from connectors.warehouses.relation import Relation
from connectors.warehouses.rows import Rows
from connectors.warehouses.sandbox import open_sandbox
from connectors.warehouses.selection import Local
from connectors.warehouses.snowflake import Snowflake
from connectors.warehouses.statements import source_name
from connectors.warehouses.warehouse import Warehouse

# The clients are imported when a warehouse is connected to, and not before.
REMOTE: Mapping[str, Callable[[Path, Settings, Limits], Warehouse]] = {
    "postgres": Postgres,
    "redshift": Redshift,
    "mysql": MySQL,
    "snowflake": Snowflake,
    "bigquery": BigQuery,
    "databricks": Databricks,
}
WAREHOUSES = ("duckdb", *REMOTE)

# The name of the rows on a relation's connection.
_ROWS = "usher_rows"


def open_warehouse(
    root: Path, settings: Settings | None, source: ModelSource, texts: Collection[str] = ()
) -> Warehouse:
    """The warehouse that a source is read from; nothing has been connected to yet.

    Args:
        root: The project folder, where relative paths start.
        settings: The project's warehouse, if it declares one.
        source: Table, query or files.
        texts: Columns that are text, where the source itself does not say so (CSV, JSON).

    Raises:
        WarehouseError: there is no such type of warehouse.
    """
    if source.parquet is not None or source.csv is not None or source.json is not None:
        return Local(lambda files: open_files(root, files, texts))
    if settings is None or settings.type == "duckdb":
        return Local(partial(open_model, root, settings))
    if settings.type not in REMOTE:
        raise WarehouseError(
            f"warehouse type {settings.type!r} cannot be read; the types are: "
            f"{', '.join(WAREHOUSES)}"
        )
    return REMOTE[settings.type](root, settings, Limits.of(settings))


def open_relation(
    root: Path,
    warehouse: Settings | None,
    source: ModelSource,
    *,
    texts: Collection[str] = (),
    output: Path | None = None,
) -> Relation:
    """Open what a model is read from; close it by leaving the relation's context.

    Args:
        root: The project folder, where relative paths start.
        warehouse: The project's warehouse, if it declares one.
        source: Table, query or files.
        texts: Columns that are text, where the source itself does not say so (CSV, JSON).
        output: The one folder that the connection may write to, and spill to.  Without it the
            relation has its columns, and no rows.

    Raises:
        WarehouseError: it cannot be opened.
    """
    opened = open_warehouse(root, warehouse, source, texts)
    limits = Limits.of(warehouse)
    if output is None:
        limits = limits.for_columns()
    rows = Rows(opened, limits, lambda: opened.read(source, rows=output is not None))
    try:
        connection = open_sandbox([] if output is None else [output], spill=output)
        connection.register(_ROWS, rows.reader)
    except BaseException:
        rows.close()
        raise
    return Relation(connection, _ROWS, _name(warehouse, source), rows)


def _name(warehouse: Settings | None, source: ModelSource) -> str:
    for kind in ("parquet", "csv", "json"):
        if (path := getattr(source, kind)) is not None:
            return f"{kind} {path}"
    system = "the warehouse"
    if warehouse is not None:
        path = warehouse.options.get("path")
        system = Path(str(path)).name if path else f"the {warehouse.type} warehouse"
    return source_name(source, system)
