"""Rows of a snapshot's attributes, as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from audience_dsl.definitions import ColumnType
from audience_dsl.instants import format_instant
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.sandbox import open_sandbox
from warehouse.errors import explained
from warehouse.snapshot import WarehouseSnapshot


def read_rows(
    snapshot: WarehouseSnapshot, user_ids: Sequence[str], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """The columns of some users, in their order; empty for whom the warehouse does not know.

    Instants are texts as in ISO 8601.  Columns that the snapshot does not have are left out.

    Raises:
        WarehouseError: the attributes cannot be read.
    """
    types = snapshot.manifest.columns
    names = [name for name in columns if name in types]
    places = [
        None if row < 0 else int(snapshot.attribute_rows[row])
        for row in snapshot.lookup(user_ids).tolist()
    ]
    wanted = sorted({place for place in places if place is not None})
    if not names or not wanted:
        return [{} for _ in user_ids]
    values = ", ".join(_value(name, types[name]) for name in names)
    statement = (
        f"SELECT file_row_number, {values} "
        f"FROM read_parquet({quoted_text(str(snapshot.attributes_path.absolute()))}) "
        f"WHERE file_row_number IN ({', '.join(map(str, wanted))})"
    )
    with explained(f"snapshot {snapshot.version}"):
        connection = open_sandbox([snapshot.folder.absolute()])
        try:
            found = connection.execute(statement).fetchall()
        finally:
            connection.close()
    rows = {
        place: {name: _shown(one, types[name]) for name, one in zip(names, rest, strict=True)}
        for place, *rest in found
    }
    return [{} if place is None else dict(rows[place]) for place in places]


def _value(name: str, type_: ColumnType) -> str:
    column = quoted_name(name)
    return f"epoch_us({column}) AS {column}" if type_ is ColumnType.TIMESTAMP else column


def _shown(value: Any, type_: ColumnType) -> Any:
    if value is not None and type_ is ColumnType.TIMESTAMP:
        return format_instant(value)
    return int(value) if isinstance(value, Decimal) else value
