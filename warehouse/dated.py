"""Snapshots of the past, for a backtest: the versions of a snapshots folder, as they were taken.

Definitions may have changed since a version was pulled.  Its attributes are then asked anew, as of
the instant at which they were taken; so a backtest of today's definitions has yesterday's rows.
Rows of related models are not kept with a version and cannot be asked again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from audience_dsl.definitions import Comparison, ModelSource, ParentPlan
from warehouse.errors import WarehouseError
from warehouse.pull import pull
from warehouse.snapshot import WarehouseSnapshot, open_snapshot
from warehouse.versions import Versions


def dated_versions(folder: Path, parent_models: Iterable[str]) -> list[str]:
    """The names of all versions of some parent models below a snapshots folder."""
    return [name for key in parent_models for name in Versions(folder, key).names()]


def dated_snapshots(folder: Path, plan: ParentPlan, spare: Path) -> list[WarehouseSnapshot]:
    """All versions of a parent model below a snapshots folder, in the order they were taken.

    Args:
        spare: An empty folder, for those that have to be asked anew.

    Raises:
        WarehouseError: there is none, or one cannot be used.
    """
    key = plan.parent_model.key
    versions = Versions(folder, key)
    found = [open_snapshot(versions.folder / name) for name in versions.names()]
    if not found:
        raise WarehouseError(
            f"{folder} has no snapshots of {key}; it is to be like .usher/snapshots of a project, "
            "with a folder of versions for each parent model"
        )
    found.sort(key=lambda one: (one.taken_at, one.version))
    return [_answering(one, plan, spare / str(number)) for number, one in enumerate(found)]


def in_force(snapshots: list[WarehouseSnapshot], at: int) -> int:
    """The number of the newest that had been taken at an instant.

    Raises:
        WarehouseError: none had been.
    """
    count = sum(one.taken_at <= at for one in snapshots)
    if not count:
        first = snapshots[0]
        raise WarehouseError(
            f"the oldest snapshot of {first.manifest.parent_model} is {first.version}, later than "
            "the beginning of the backtest; begin there or later with --from"
        )
    return count - 1


def _answering(found: WarehouseSnapshot, plan: ParentPlan, store: Path) -> WarehouseSnapshot:
    if found.covers(plan.predicates):
        return found.serving(plan.predicates)
    if not all(isinstance(one, Comparison) for one in plan.predicates):
        raise WarehouseError(
            f"snapshot {found.folder} was made for other definitions, and the rows of related "
            "models that these ask about are not kept with it; leave it out of the folder"
        )
    source = ModelSource(parquet=str(found.attributes_path.absolute()))
    asked = replace(plan, parent_model=replace(plan.parent_model, source=source), collections=())
    anew = pull(found.folder, None, asked, found.taken_at, store=store)
    return replace(anew, manifest=msgspec.structs.replace(anew.manifest, version=found.version))
