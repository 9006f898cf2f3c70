"""Pulling a parent model: from the warehouse's rows to a finished folder.

1. The rows are copied once, every column read as its declared type, into the attributes' file.
   Whatever the warehouse is, all further questions are put to that file: they agree with each
   other even if the warehouse changes meanwhile.
2. So are the rows of related models, for as long as the pull takes.
3. One statement over the files answers all predicates of the plan for all users, as bits.
4. Users are put in the order of their hashes, and the key is checked on the way.
5. The finished folder is published.  Whatever fails before leaves the snapshot in force alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from audience_dsl.definitions import ParentPlan, Settings
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.errors import first_sentence
from connectors.warehouses.sandbox import open_sandbox
from engine.inputs import Snapshot
from engine.plan import Int32s, Int64s
from warehouse.attributes import Attributes, copy_attributes
from warehouse.collections import write_collections
from warehouse.errors import WarehouseError, explained
from warehouse.patterns import PatternNumbers, words_sql
from warehouse.readings import stripped
from warehouse.related import ROW, RelatedRows, related_rows
from warehouse.snapshot import (
    ATTRIBUTES,
    FORMAT,
    MANIFEST,
    Manifest,
    WarehouseSnapshot,
    digest_of,
    open_snapshot,
    source_digest,
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
    """Read the parent model and publish a new version of its snapshot, whatever was before.

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
    versions = Versions(store or default_store(root), plan.parent_model.key)
    with told(versions, plan), versions.locked(), versions.writing(at) as (version, aside):
        write_all(root, warehouse, plan, at, version, aside)
        return open_snapshot(versions.publish(version, aside))


@contextmanager
def told(versions: Versions, plan: ParentPlan) -> Iterator[None]:
    """Turn what goes wrong with a parent model's pull into a `WarehouseError` that says where."""
    key = plan.parent_model.key
    try:
        with explained(f"parent model {key}"):
            yield
    except OSError as error:
        raise WarehouseError(
            f"the snapshot of {key} cannot be written below {versions.folder}: "
            f"{first_sentence(error)}"
        ) from error


def write_all(
    root: Path, warehouse: Settings | None, plan: ParentPlan, at: int, version: str, aside: Path
) -> None:
    """Read all rows, and write all files of a version into the folder `aside`.

    Raises:
        WarehouseError: the model cannot be read, or what was read is not as declared.
        OSError: the files cannot be written.
    """
    attributes = copy_attributes(root, warehouse, plan, aside / ATTRIBUTES)
    with related_rows(root, warehouse, plan, aside) as related:
        write_answers(plan, related, attributes, at, version, aside, read_at=at)


def write_answers(
    plan: ParentPlan,
    related: RelatedRows,
    attributes: Attributes,
    at: int,
    version: str,
    aside: Path,
    *,
    read_at: int,
) -> None:
    """Write all files of a version but the attributes', which is there.

    Raises:
        WarehouseError: the key is not unique, or missing.
        OSError: the files cannot be written.
    """
    model = plan.parent_model
    answers = answers_of(plan, at, aside, related)
    users, hashes, order = order_users(answers.ids, model.primary_key)
    view = Snapshot(users, hashes, answers.pattern_of[order], answers.patterns)
    write_arrays(aside, view, answers.rows[order])
    manifest = Manifest(
        format=FORMAT,
        parent_model=model.key,
        version=version,
        taken_at=at,
        rows=len(order),
        predicates=tuple(map(digest_of, plan.predicates)),
        source=source_digest(model),
        read_at=read_at,
        columns=dict(attributes.columns),
        related={source_digest(of): dict(columns) for of, columns in related.columns},
        unreadable=dict(attributes.unreadable),
        collections=write_collections(aside, plan, attributes.columns),
    )
    write_manifest(aside, manifest)


def write_manifest(aside: Path, manifest: Manifest) -> None:
    (aside / MANIFEST).write_bytes(msgspec.json.encode(manifest))


class Answers(NamedTuple):
    """One entry a user, in whatever order; `rows` are the users' rows in the attributes' file."""

    ids: list[Any]
    rows: Int64s
    patterns: Int64s
    pattern_of: Int32s


def answers_of(plan: ParentPlan, at: int, aside: Path, related: RelatedRows) -> Answers:
    key = key_sql(plan)
    file = quoted_text(str(aside / ATTRIBUTES))
    # A join may change the order of the rows, so each brings its place along.
    users = f"(SELECT *, file_row_number AS {ROW} FROM read_parquet({file}))"
    joined = related.joined(users, plan.predicates, key, at)
    words = words_sql(joined.tests)
    ids: list[Any] = []
    rows: list[Int64s] = []
    numbers = PatternNumbers(len(words))
    connection = open_sandbox([aside], spill=aside)
    try:
        statement = f"SELECT {', '.join([key, ROW, *words])} FROM {joined.sql}"
        for batch in connection.sql(statement).to_arrow_reader(_BATCH):
            ids.append(batch.column(0))
            rows.append(batch.column(1).to_numpy())
            bits = np.empty((batch.num_rows, len(words)), dtype=np.int64)
            for word in range(len(words)):
                bits[:, word] = batch.column(word + 2).to_numpy()
            numbers.add(bits)
    finally:
        connection.close()
    return Answers(ids, np.concatenate([np.zeros(0, np.int64), *rows]), *numbers.finish())


def key_sql(plan: ParentPlan) -> str:
    """A user's id, of a row of the attributes."""
    return stripped(f"CAST({quoted_name(plan.parent_model.primary_key)} AS VARCHAR)")
