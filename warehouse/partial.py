"""Pulls that read less than everything, where the snapshot in force has the rest.

Two things may have changed since: the questions, or the rows.  New questions are put to the
attributes that are kept, and the bits that are there stay as they are.  Changed rows are told by a
column that the model declares (`updated_at`); they take the place of those with the same key.  Rows
that were removed from the warehouse are found by the next full pull.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from audience_dsl.definitions import ColumnType, Comparison, ParentPlan, Settings
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.registry import open_relation
from connectors.warehouses.sandbox import open_sandbox
from warehouse.attributes import PARQUET, Attributes, copy_columns, declared_types
from warehouse.collections import write_collections
from warehouse.columns import readings_of, text_columns
from warehouse.patterns import PatternNumbers, rearranged
from warehouse.pull import answers_of, key_sql, write_answers, write_manifest
from warehouse.related import RelatedRows
from warehouse.snapshot import ATTRIBUTES, WarehouseSnapshot, digest_of, write_arrays

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Rows that changed so long before the newest that is known are read once more: a day in quotes
# means another instant in each time zone, and what is committed late has an earlier instant.
_OVERLAP = timedelta(days=2)

# Users whose bits are put together at once.
_SLICE = 1 << 18

_NEWER = "newer.parquet"


def can_answer(before: WarehouseSnapshot, plan: ParentPlan) -> bool:
    """Whether the snapshot's attributes have all columns that the plan asks for."""
    known = before.manifest.columns
    wanted = declared_types(plan)
    looked_up = {name for one in plan.collections for name in (*one.indexes, *(one.fields or ()))}
    return (
        before.is_of(plan.parent_model)
        and all(
            isinstance(one, Comparison) or digest_of(one) in before.manifest.predicates
            for one in plan.predicates
        )
        and all(known.get(name) == type_ for name, type_ in wanted.items())
        and looked_up <= known.keys()
    )


def write_new_answers(
    before: WarehouseSnapshot, plan: ParentPlan, version: str, aside: Path
) -> None:
    """Write a version with the same rows, all bits that were there, and those of new predicates.

    The latter are asked as of the instant of the pull that has read the rows.

    Raises:
        OSError, duckdb.Error: it cannot be written.
    """
    known = before.manifest.predicates
    fresh = {digest: one for one in plan.predicates if (digest := digest_of(one)) not in known}
    os.link(before.attributes_path, aside / ATTRIBUTES)
    asked = replace(plan, predicates=tuple(fresh.values()))
    answers = answers_of(asked, before.taken_at, aside, RelatedRows({}))
    of_row = np.empty(before.rows, dtype=np.int32)
    of_row[answers.rows] = answers.pattern_of
    none = [-1]
    kept = rearranged(before.snapshot.patterns, [*range(len(known)), *none * len(fresh)])
    added = rearranged(answers.patterns, [*none * len(known), *range(len(fresh))])
    numbers = PatternNumbers(kept.shape[1])
    for first in range(0, before.rows, _SLICE):
        users = slice(first, first + _SLICE)
        of_user = of_row[before.attribute_rows[users]]
        numbers.add(kept[before.snapshot.pattern_of[users]] | added[of_user])
    patterns, pattern_of = numbers.finish()
    view = before.snapshot._replace(patterns=patterns, pattern_of=pattern_of)
    write_arrays(aside, view, before.attribute_rows)
    manifest = msgspec.structs.replace(
        before.manifest,
        version=version,
        predicates=(*known, *fresh),
        collections=write_collections(aside, plan, before.manifest.columns),
    )
    write_manifest(aside, manifest)


def can_be_updated(before: WarehouseSnapshot, plan: ParentPlan) -> bool:
    """Whether rows that have changed can take the place of those in the snapshot.

    Rows of related models have no instant of their own, so a plan that asks for them cannot.
    """
    name = plan.parent_model.rules.updated_at
    return (
        name is not None
        and before.is_of(plan.parent_model)
        and all(isinstance(one, Comparison) for one in plan.predicates)
        and before.manifest.columns.get(name) is ColumnType.TIMESTAMP
    )


def write_update(
    root: Path,
    warehouse: Settings | None,
    plan: ParentPlan,
    at: int,
    before: WarehouseSnapshot,
    version: str,
    aside: Path,
) -> bool:
    """Read the rows that have changed, and write a version with them and the others.

    Returns:
        Whether that is possible; if not, nothing is written.

    Raises:
        WarehouseError: the model cannot be read, or what was read is not as declared.
        OSError, duckdb.Error: it cannot be written.
    """
    model = plan.parent_model
    since = _changed_since(before, plan)
    if since is None:
        return False
    changed = replace(model.source, since=(str(model.rules.updated_at), since))
    newer = aside / _NEWER
    with open_relation(
        root, warehouse, changed, texts=text_columns(model), output=aside
    ) as relation:
        readings = readings_of(relation, model, declared_types(plan))
        types = {name: one.type for name, one in readings.items()}
        stored = relation.columns[str(model.rules.updated_at)]
        if types != before.manifest.columns or not stored.startswith(("DATE", "TIMESTAMP")):
            return False
        copy_columns(relation, readings, newer)
    _merge(before, plan, newer, aside)
    newer.unlink()
    attributes = Attributes(types, before.manifest.unreadable)
    read_at = before.manifest.read_at
    write_answers(plan, RelatedRows({}), attributes, at, version, aside, read_at=read_at)
    return True


def _changed_since(before: WarehouseSnapshot, plan: ParentPlan) -> str | None:
    """The day from which on changed rows are not known; `None` if no row says when it changed."""
    column = quoted_name(str(plan.parent_model.rules.updated_at))
    file = quoted_text(str(before.attributes_path.resolve()))
    connection = open_sandbox([before.folder.resolve()])
    try:
        found = connection.execute(
            f"SELECT epoch_us(max({column})) FROM read_parquet({file})"
        ).fetchall()[0][0]
    finally:
        connection.close()
    if found is None:
        return None
    # A row of the future would hide all changes until then.
    newest = _EPOCH + timedelta(microseconds=min(found, before.taken_at))
    return f"{newest - _OVERLAP:%Y-%m-%d}"


def _merge(before: WarehouseSnapshot, plan: ParentPlan, newer: Path, aside: Path) -> None:
    key, old = key_sql(plan), before.attributes_path.resolve()
    connection = open_sandbox([before.folder.resolve(), aside], spill=aside)
    try:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet({quoted_text(str(newer))}) UNION ALL BY NAME "
            f"SELECT * FROM read_parquet({quoted_text(str(old))}) WHERE {key} NOT IN "
            f"(SELECT {key} FROM read_parquet({quoted_text(str(newer))}) WHERE {key} IS NOT NULL)) "
            f"TO {quoted_text(str(aside / ATTRIBUTES))} ({PARQUET})"
        )
    finally:
        connection.close()
