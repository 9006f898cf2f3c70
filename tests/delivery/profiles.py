"""Snapshots for the tests of deliveries: pulled from a file, looked at as deliveries do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audience_dsl.definitions import Collection, ColumnType, ModelSource
from audience_dsl.syncs import SYNC_COLLECTION
from tests.warehouse.plans import AT, model, plan
from warehouse.profiles import ProfileVersions
from warehouse.pull import pull


def pulled(
    root: Path, table: pa.Table, types: dict[str, ColumnType], columns: Sequence[str], at: int = AT
) -> ProfileVersions:
    """Pull a table, and look at some of its columns."""
    pq.write_table(table, root / "users.parquet")
    collection = Collection(SYNC_COLLECTION, "users", (), tuple(columns))
    bare = plan(model(ModelSource(parquet="users.parquet"), types))
    pull(root, None, replace(bare, collections=(collection,)), at)
    return ProfileVersions(root, "users", collection)


def users(root: Path, rows: list[dict[str, Any]], at: int = AT) -> ProfileVersions:
    """Users with an email, a plan and a lifetime value."""
    schema = pa.schema([
        ("user_id", pa.string()), ("email", pa.string()), ("plan", pa.string()),
        ("ltv", pa.decimal128(12, 2)), ("joined", pa.timestamp("us")),
    ])  # fmt: skip
    types = {
        "email": ColumnType.STRING, "plan": ColumnType.STRING, "ltv": ColumnType.NUMBER,
        "joined": ColumnType.TIMESTAMP,
    }  # fmt: skip
    return pulled(root, pa.Table.from_pylist(rows, schema=schema), types, sorted(types), at)
