"""A pull from beginning to end: read, checked, published, and written down in the history."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from audience_dsl.definitions import ParentModel, ParentPlan, Settings
from warehouse.checks import check_against
from warehouse.errors import WarehouseError
from warehouse.history import Extent, History, Pull, Status, Trigger
from warehouse.moved import users_moved
from warehouse.partial import can_answer, can_be_updated, write_new_answers, write_update
from warehouse.pull import told, write_all
from warehouse.snapshot import WarehouseSnapshot, current, open_snapshot
from warehouse.versions import Versions, default_store


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a pull.

    `allow_shrink` lets it have far fewer rows than the one before, and `full` reads all rows even
    if fewer would do.
    """

    trigger: Trigger
    allow_shrink: bool = False
    full: bool = False


def history_of(root: Path, model: ParentModel) -> History:
    """The pulls of a project's parent model."""
    return History(Versions(default_store(root), model.key), model.rules.history)


def refresh(
    root: Path, warehouse: Settings | None, plan: ParentPlan, at: int, request: Request
) -> Pull:
    """Pull a parent model of the project.

    Args:
        root: The project folder.
        warehouse: The project's warehouse, if it declares one.
        plan: Its predicates become the snapshot's bits.
        at: Now, microseconds since 1970 UTC.
        request: What is asked for.

    Returns:
        The pull as it stands in the history.

    Raises:
        WarehouseError: it has failed, and the snapshot in force stays.
    """
    model = plan.parent_model
    versions = Versions(default_store(root), model.key)
    history = History(versions, model.rules.history)
    began = time.monotonic()
    with _locked(versions, plan):
        before = _known(root, model)
        pull = None
        try:
            with told(versions, plan), versions.writing(at) as (version, aside):
                begun = Pull(version=version, pull_date=at, trigger=request.trigger)
                history.begin(begun)
                pull = begun
                extent = _write(root, warehouse, plan, at, request, before, version, aside)
                after = open_snapshot(aside)
                if before is not None and not request.allow_shrink:
                    check_against(before.manifest, after.manifest, model)
                moved = users_moved(before, after)
                versions.publish(version, aside)
        except BaseException as error:
            if pull is not None:
                _end_failed(versions, history, pull, began, error)
            raise
        done = msgspec.structs.replace(
            pull,
            extent=extent,
            status=Status.SUCCEEDED,
            duration=_since(began),
            rows=after.rows,
            moved=moved,
        )
        with suppress(OSError):  # whoever reads the history sees that the version is in force
            history.end(done)
        return done


def roll_back(root: Path, plan: ParentPlan, at: int) -> Pull:
    """Bring the version back into force that was so before the present one.

    Returns:
        The step back as it stands in the history, with the version that it has brought back.

    Raises:
        WarehouseError: there is none, or it does not answer the plan.
    """
    model = plan.parent_model
    versions = Versions(default_store(root), model.key)
    history = History(versions, model.rules.history)
    began = time.monotonic()
    with _locked(versions, plan), told(versions, plan):
        present = current(root, model.key)
        earlier = [one.version for one in history.pulls() if one.status is Status.SUCCEEDED]
        target = None if present is None else _version_before(present.version, earlier, versions)
        if present is None or target is None:
            raise WarehouseError("there is no earlier version to return to; pull it anew")
        found = open_snapshot(versions.folder / target)
        if not found.serves(plan):
            raise WarehouseError(
                f"version {target} was pulled with other definitions, so it cannot take force; "
                "return to those definitions, or pull it anew"
            )
        pull = Pull(
            version=target,
            pull_date=at,
            trigger=Trigger.ON_DEMAND,
            extent=Extent.ROLLBACK,
            rows=found.rows,
            moved=users_moved(present, found),
        )
        history.begin(pull)
        versions.point_to(target)
        pull = msgspec.structs.replace(pull, status=Status.SUCCEEDED, duration=_since(began))
        history.end(pull)
        return pull


@contextmanager
def _locked(versions: Versions, plan: ParentPlan) -> Iterator[None]:
    with ExitStack() as held:
        with told(versions, plan):
            held.enter_context(versions.locked())
        yield


def _version_before(present: str, in_force: Sequence[str], versions: Versions) -> str | None:
    """The newest of the kept versions that was in force, and was pulled before the present one."""
    kept = [name for name in versions.names() if name < present]
    return max((name for name in kept if name in in_force), default=None)


def _known(root: Path, model: ParentModel) -> WarehouseSnapshot | None:
    """The snapshot in force; if it is damaged it is as if there were none."""
    with suppress(WarehouseError):
        return current(root, model.key)
    return None


def _write(
    root: Path,
    warehouse: Settings | None,
    plan: ParentPlan,
    at: int,
    request: Request,
    before: WarehouseSnapshot | None,
    version: str,
    aside: Path,
) -> Extent:
    """Write a version in the cheapest way that will do."""
    if before is not None and not request.full:
        match request.trigger:
            case Trigger.DEFINITION | Trigger.START if can_answer(before, plan):
                write_new_answers(before, plan, version, aside)
                return Extent.PARTIAL
            case Trigger.ON_DEMAND if can_be_updated(before, plan) and write_update(
                root, warehouse, plan, at, before, version, aside
            ):
                return Extent.PARTIAL
    write_all(root, warehouse, plan, at, version, aside)
    return Extent.FULL


def _end_failed(
    versions: Versions, history: History, pull: Pull, began: float, error: BaseException
) -> None:
    present = versions.current()
    if present is None or present.name != pull.version:
        versions.remove(pull.version)  # complete perhaps, and never in force
    reason = str(error) or type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        reason = "it was interrupted"
    failed = msgspec.structs.replace(
        pull, status=Status.FAILED, duration=_since(began), error=reason
    )
    with suppress(OSError):  # what has gone wrong first is told
        history.end(failed)


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1_000_000)
