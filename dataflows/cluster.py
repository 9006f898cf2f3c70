"""A job of several processes: what each of them is given to do, and what it tells of it.

One process, the supervisor, prepares the job: it checks what the job is resumed from, brings the
snapshots up to date, and decides when the job starts.  It hands each of the others its *part*, and
takes what they tell.  The parts are one Bytewax cluster: they read their shares, evaluate and
record.  Bytewax knows no cluster with a process less, so they stop together, and if one dies all
are started again.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from typing_extensions import override

from connectors.wall_clock import wall_clock
from dataflows.emission import Emission
from dataflows.following import StoredShare
from dataflows.job import run_from
from dataflows.meetings import Gate
from dataflows.ownership import usher_folder
from dataflows.preparation import fresh_snapshots, job_of, open_sources
from dataflows.progress import Progress
from dataflows.questions import Answer, Asked
from dataflows.recovery import join_recovery
from dataflows.shares import WHOLE, Share
from membership.store import MembershipStore
from project.folder import LoadedProject
from project.stores import open_store
from warehouse.snapshot import WarehouseSnapshot, open_snapshot

_FOLDER = "cluster"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is decided once for all processes; a job begins when it is made."""

    loaded: LoadedProject
    started: int
    snapshots: Mapping[str, WarehouseSnapshot]  # by parent model


@dataclass(frozen=True, slots=True)
class Part:
    """What one process has to do: number `number` of those at `addresses`.

    `stored` is what all shares had come to, and `clock` the key groups; `meetings` a folder for
    this start of the job alone.
    """

    loaded: LoadedProject
    started: int
    snapshots: Mapping[str, Path]  # the folder of each parent model's
    number: int
    addresses: tuple[str, ...]
    stored: Mapping[str, StoredShare]
    clock: int
    meetings: Path


@dataclass(frozen=True, slots=True)
class Began:
    """All processes of the cluster have met, and the teller begins to read."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A key group has been compared with the journal."""

    differences: int


@dataclass(frozen=True, slots=True)
class Warming:
    """These conditions do not know all that they should, until those instants."""

    conditions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Counted:
    """How far the teller has come by now."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Answered:
    """The teller's key groups answer what was asked."""

    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source cannot be read any more; the teller stops in good order."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The teller cannot go on, and could not if it were started again."""

    sentence: str


News = Began | Compared | Warming | Counted | Answered | SourceFailed | Refused
Tell = Callable[[News], None]


def prepare_cluster(loaded: LoadedProject) -> Preparation:
    """Make sure that a job of several processes can run.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        WarehouseError: a parent model cannot be pulled.
        SourceError: a source cannot be followed.
    """
    started = wall_clock()
    open_sources(loaded, WHOLE, started, Gate())
    return Preparation(loaded, started, fresh_snapshots(loaded, started))


def cluster_folder(root: Path) -> Path:
    """Where the processes of a project's job meet, and leave their last words."""
    folder = usher_folder(root) / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def meeting_folder(root: Path, start: str) -> Path:
    """An empty folder for one start of a job; those of earlier ones are removed."""
    folder = cluster_folder(root)
    for one in folder.iterdir():
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
    (folder / start).mkdir(mode=0o700)
    return folder / start


def run_part(
    part: Part, tell: Tell, progress: Progress, questions: Asked, stop: threading.Event
) -> None:
    """Do one process's part until `stop` is set in all of them; `progress` is kept up to date.

    Raises:
        JobRefused: the stored state is damaged.
        SourceError: a source cannot be followed.
        StoreError: the membership store cannot be written.
        OSError: the state cannot be written.
    """
    loaded, share = part.loaded, Share(part.number, len(part.addresses))
    with (
        closing(open_store(loaded)) as store,
        closing(_PartEmission(loaded, store, tell, progress)) as out,
    ):
        job = job_of(
            loaded,
            part.started,
            out,
            lambda: {key: open_snapshot(folder) for key, folder in part.snapshots.items()},
            share,
            part.meetings,
            lambda: tell(Began()),
        )
        recovery = join_recovery(loaded.root, part.stored, part.clock, share, part.meetings)
        job = replace(job, stop=stop, questions=questions)
        run_from(job, recovery, addresses=part.addresses, process=part.number)


class _PartEmission(Emission):
    """Records, and lets the supervisor say what there is to say."""

    def __init__(
        self, loaded: LoadedProject, store: MembershipStore, tell: Tell, progress: Progress
    ) -> None:
        super().__init__(
            loaded,
            store,
            reconciled=lambda differences: tell(Compared(differences)),
            progress=progress,
        )
        self._tell = tell

    @override
    def failed(self, error: Exception) -> None:
        self._tell(SourceFailed(str(error)))

    @override
    def warming(self, conditions: Mapping[str, int]) -> None:
        self._tell(Warming(conditions))
