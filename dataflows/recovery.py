"""The store that a job is resumed from, checked as a whole before it is used.

Two folders belong together.  `state` has the users' state, in files of its own format.  `recovery`
has what Bytewax stores when an epoch closes: how far the sources were read, and up to where in
which files each key group's state goes.  It has exactly one partition, because a damaged store of
several can be resumed wrongly without anybody noticing.  Beside it lies which audiences the state
knows.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir

from audience_dsl.definitions import ParentPlan
from connectors.durability import make_durable
from dataflows import holding
from dataflows.chains import DamagedLog, Position
from dataflows.checkpoints import StoredGroup
from dataflows.following import StoredShare
from dataflows.ownership import usher_folder
from dataflows.refusal import JobRefused
from dataflows.removals import Known, known_audiences, with_known
from dataflows.resumption import DamagedStore, StoredRow, read_resumption
from dataflows.seals import BrokenSeal, sealed, unsealed
from dataflows.shares import Share, share_names
from dataflows.state_log import StateLog
from dataflows.steps import group_key
from dataflows.switches import Switch, SwitchJournal, after
from engine.carrying import ALWAYS
from engine.group import KeyGroup
from engine.hashing import GROUPS
from project.folder import LoadedProject

RECOVERY = "recovery"
STATE = "state"
_AUDIENCES = "audiences"

# The steps of the flow that something is stored of.
_SOURCES = "usher-realtime.events"
_CLOCK = "usher-realtime.tell_time"
_GROUPS = "usher-realtime.audiences.evaluate"


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where a job finds what it had come to, and keeps what it comes to."""

    config: RecoveryConfig
    log: StateLog
    shares: Mapping[str, StoredShare]  # what each share had come to, by name
    clock: int  # what the key groups had reached; `ALWAYS` if nothing was stored
    switches: Sequence[Switch] = ()  # that the key groups may not know
    stored: Sequence[StoredGroup] = ()  # key groups as they are resumed, where they were verified

    def warming(self, plans: Mapping[str, ParentPlan]) -> dict[str, set[int]]:
        """The conditions of each parent model that will be warming, by number.

        All key groups came to their conditions at the same time, so one tells for all.

        Raises:
            DamagedState, ForeignState, DamagedLog: the stored state is damaged.
        """
        if not self.stored:
            return {}
        known = {stored.key.partition("/")[0] for stored in self.stored}
        warming = {
            parent: set(range(len(one.plan.conditions)))
            for parent, one in plans.items()
            if parent not in known
        }
        for stored in self.stored:
            parent = stored.key.partition("/")[0]
            if parent in plans and parent not in warming and isinstance(stored.state, Position):
                plan = plans[parent].plan
                records = self.log.read(stored.state)
                group = KeyGroup.load(plan, *records, clock=stored.clock)
                numbers = {one.key: number for number, one in enumerate(plan.conditions)}
                warming[parent] = {numbers[key] for key in group.warming}
        return warming


def open_recovery(loaded: LoadedProject) -> Recovery:
    """The project's store, verified; made if there is none.

    To be called before the flow runs, never beside it: closing a second handle on the database
    would take away the running one's locks.

    Raises:
        JobRefused: the store is damaged.
    """
    recovery = usher_folder(loaded.root) / RECOVERY
    state = usher_folder(loaded.root) / STATE
    log = StateLog(state)
    journal = SwitchJournal(usher_folder(loaded.root))
    known = known_audiences(loaded.project)
    if not recovery.exists():
        if log.is_in_use:
            raise damaged(recovery, "it is missing")
        journal.forget()
        _make(recovery, known)
    stored = _read_known(recovery)
    try:
        rows = read_resumption(recovery)
        groups = verified_groups(rows, stored)
        shares = _shares(rows)
        clock = max((one.clock for one in groups), default=ALWAYS)
        switches = _switches(journal, clock)
    except (DamagedStore, BrokenSeal) as error:
        raise damaged(recovery, error) from error
    positions = [one.state for one in groups if isinstance(one.state, Position)]
    if log.is_in_use and not positions:
        raise damaged(recovery, "nothing that was stored is left")
    try:
        for position in positions:
            log.read(position)
        log.keep_only(positions)
    except DamagedLog as error:
        raise damaged(state, error) from error
    if stored != known:
        _write_known(recovery, known)
    return Recovery(
        RecoveryConfig(recovery, None),  # type: ignore[no-untyped-call]
        log,
        shares,
        clock,
        switches,
        groups,
    )


def join_recovery(
    root: Path, shares: Mapping[str, StoredShare], clock: int, share: Share, nothing: Path
) -> Recovery:
    """The store of a job of several processes, which one of them has verified before.

    The first process alone opens Bytewax's database; the others are given `nothing`, an empty
    folder.
    """
    folder = nothing if share.number else usher_folder(root) / RECOVERY
    try:
        switches = _switches(SwitchJournal(usher_folder(root)), clock)
    except BrokenSeal as error:
        raise damaged(usher_folder(root), error) from error
    return Recovery(
        RecoveryConfig(folder, None),  # type: ignore[no-untyped-call]
        StateLog(usher_folder(root) / STATE),
        shares,
        clock,
        switches,
    )


def forget_state(root: Path) -> None:
    """Remove what a job would be resumed from, so that it counts anew from its sources.

    What it has told is not its state: that stays, and what it tells anew is held against it.
    """
    for name in (RECOVERY, STATE):
        folder = usher_folder(root) / name
        if folder.exists():
            shutil.rmtree(folder)
    SwitchJournal(usher_folder(root)).forget()


def with_stored_audiences(loaded: LoadedProject) -> LoadedProject:
    """The project with those audiences that its stored state knows, and it does not any more.

    Raises:
        JobRefused: the store is damaged.
    """
    folder = usher_folder(loaded.root) / RECOVERY
    known = _read_known(folder) if folder.exists() else {}
    return replace(loaded, project=with_known(loaded.project, known))


def damaged(folder: Path, why: object) -> JobRefused:
    return JobRefused(
        f"the stored state in {folder} is damaged ({why}); start with --rebuild to count anew from "
        "the sources"
    )


def _make(folder: Path, known: Known) -> None:
    aside = folder.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    init_db_dir(aside, 1)  # type: ignore[no-untyped-call]
    _write_known(aside, known)
    for path in (*aside.iterdir(), aside):
        make_durable(path)
    aside.rename(folder)
    make_durable(folder.parent)


def _write_known(folder: Path, known: Known) -> None:
    """In one step, durable before the state of these audiences is."""
    aside = folder / f"{_AUDIENCES}.part"
    with aside.open("wb") as file:
        file.write(sealed(msgspec.json.encode(known)))
    make_durable(aside)
    aside.replace(folder / _AUDIENCES)
    make_durable(folder)


def _read_known(folder: Path) -> Known:
    try:
        content = unsealed((folder / _AUDIENCES).read_bytes())
        return msgspec.json.decode(content, type=dict[str, dict[str, bool]])
    except (OSError, BrokenSeal, msgspec.MsgspecError) as error:
        raise damaged(folder, error) from error


def _switches(journal: SwitchJournal, clock: int) -> tuple[Switch, ...]:
    """Those to be repeated; a job without state has nothing to repeat them with."""
    return () if clock == ALWAYS else after(journal.read(), clock)


def verified_groups(rows: Sequence[StoredRow], parent_models: Collection[str]) -> list[StoredGroup]:
    """All groups of the parent models, if the rows are one moment's and none is missing.

    Every step reaches every group, so all of them have been stored at the same epochs, and with the
    same clock.  The sources may have been asked once more, when nothing had come of it yet.  Parent
    models that are gone have left what was theirs, and new ones have nothing yet.
    """
    sources = [row for row in rows if row.step == _SOURCES]
    if {row.step for row in rows} - {_SOURCES, _CLOCK, _GROUPS}:
        raise DamagedStore("it has rows of an unknown step")
    for row in rows:
        if row.step == _CLOCK:
            holding.check(row.state)
    stored = [
        row for row in rows if row.step == _GROUPS and row.key.partition("/")[0] in parent_models
    ]
    if not stored:
        return []
    groups = [StoredGroup.from_bytes(row.state) for row in stored]
    present = {row.key.partition("/")[0] for row in stored}
    expected = {group_key(parent, group) for parent in present for group in range(GROUPS)}
    if {row.key for row in stored} != expected:
        raise DamagedStore("the state of some key groups is missing")
    if [row.key for row in stored] != [group.key for group in groups]:
        raise DamagedStore("the states of key groups are mixed up")
    epochs = {row.epoch for row in stored}
    if len(epochs) > 1 or len({group.clock for group in groups}) > 1:
        raise DamagedStore("the states of key groups are of different moments")
    if not sources or max(row.epoch for row in sources) < max(epochs):
        raise DamagedStore("the sources' positions are missing or too old")
    if not all(isinstance(group.state, Position) for group in groups):
        raise DamagedStore("it was made by a flow that keeps no log")
    return groups


def _shares(rows: list[StoredRow]) -> dict[str, StoredShare]:
    """What all shares had come to, if it is one moment's and none is missing.

    When a job stops, its shares do so one after the other; what each stored last is final.
    """
    sources = [row for row in rows if row.step == _SOURCES]
    shares = {row.key: StoredShare.from_bytes(row.state) for row in sources}
    newest = max((row.epoch for row in sources), default=0)
    is_apart = any(row.epoch < newest and not shares[row.key].is_final for row in sources)
    if is_apart or len({one.count for one in shares.values()}) > 1:
        raise DamagedStore("the sources' positions are of different moments")
    if any(not shares.keys() >= set(share_names(one.count)) for one in shares.values()):
        raise DamagedStore("some of the sources' positions are missing")
    return shares
