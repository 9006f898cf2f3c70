"""Pulling a parent model: from the warehouse's rows to a snapshot in force.

1. The rows are copied once, every column read as its declared type, into the attributes' file.
   Whatever the warehouse is, all further questions are put to that file: they agree with each
   other even if the warehouse changes meanwhile.
2. One statement over the file answers all predicates of the plan for all users, as bits.
3. Users are put in the order of their hashes, and the key is checked on the way.
4. The finished folder is published.  Whatever fails before leaves the snapshot in force alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from audience_dsl.definitions import ParentPlan, Settings
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.sandbox import open_sandbox
from engine.inputs import Snapshot
from engine.plan import Int32s, Int64s
from warehouse.attributes import copy_attributes
from warehouse.errors import WarehouseError, explained
from warehouse.patterns import PatternNumbers, words_sql
from warehouse.readings import stripped
from warehouse.snapshot import (
    ATTRIBUTES,
    FORMAT,
    MANIFEST,
    Manifest,
    WarehouseSnapshot,
    open_snapshot,
    predicates_digest,
    write_arrays,
)
from warehouse.users import order_users
from warehouse.versions import Versions, default_store

# Rows that are answered at once: one of DuckDB's own row groups.
_BATCH = 122_880


def pull(
    root: Path,
    warehouse: Settings | None,
    plan: ParentPlan,
    at: int,
    *,
    store: Path | None = None,
) -> WarehouseSnapshot:
    """Read the parent model and publish a new version of its snapshot.

    Args:
        root: The project folder.
        warehouse: The project's warehouse, if it declares one.
        plan: Its predicates become the snapshot's bits.
        at: "Now" for `within_last` and `within_next`: microseconds since 1970 UTC.
        store: Where snapshots are kept, if not with the project; a backtest uses its own, so
            that it never changes what a live job reads.

    Raises:
        WarehouseError: the model cannot be read, or what was read is not as declared; the
            snapshot in force stays.
    """
    model = plan.parent_model
    versions = Versions(store or default_store(root), model.key)
    try:
        with explained(f"parent model {model.key}"), versions.writing(at) as (version, aside):
            attributes = copy_attributes(root, warehouse, plan, aside / ATTRIBUTES)
            ids, patterns, pattern_of = _answers(plan, at, aside)
            users, hashes, order = order_users(ids, model.primary_key)
            write_arrays(aside, Snapshot(users, hashes, pattern_of[order], patterns), order)
            manifest = Manifest(
                format=FORMAT,
                parent_model=model.key,
                version=version,
                taken_at=at,
                rows=len(order),
                predicates=predicates_digest(plan.predicates),
                columns=dict(attributes.columns),
                unreadable=dict(attributes.unreadable),
            )
            (aside / MANIFEST).write_bytes(msgspec.json.encode(manifest))
            return open_snapshot(versions.publish(version, aside))
    except OSError as error:
        raise WarehouseError(
            f"the snapshot of {model.key} cannot be written below {versions.folder}: {error}"
        ) from error


def _answers(plan: ParentPlan, at: int, aside: Path) -> tuple[list[Any], Int64s, Int32s]:
    """The users' ids, the distinct combinations of bits, and each user's, in the file's order."""
    key = stripped(f"CAST({quoted_name(plan.parent_model.primary_key)} AS VARCHAR)")
    words = words_sql(plan.predicates, at)
    file = quoted_text(str(aside / ATTRIBUTES))
    ids: list[Any] = []
    numbers = PatternNumbers(len(words))
    connection = open_sandbox([aside], spill=aside)
    try:
        statement = f"SELECT {', '.join([key, *words])} FROM read_parquet({file})"
        for batch in connection.sql(statement).to_arrow_reader(_BATCH):
            ids.append(batch.column(0))
            bits = np.empty((batch.num_rows, len(words)), dtype=np.int64)
            for word in range(len(words)):
                bits[:, word] = batch.column(word + 1).to_numpy()
            numbers.add(bits)
    finally:
        connection.close()
    return ids, *numbers.finish()
