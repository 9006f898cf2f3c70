"""A job of one process: it evaluates, records, and brings out what it has recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from types import TracebackType

from connectors.wall_clock import wall_clock
from dataflows.backfill import Backfill
from dataflows.emission import Emission, Reconciled, Reconciliation, ignore
from dataflows.outbox import Outbox
from dataflows.preparation import Job, prepare_job
from dataflows.progress import Progress
from dataflows.questions import Asked
from project.folder import LoadedProject
from project.stores import open_store

# Seconds without progress for which a job that ends waits for its destinations.
PATIENCE = 10.0
# The same of one that ends for other definitions.
INTERRUPTION = 1.0


class SingleJob:
    """A prepared job, to be entered and then run; it leaves when all is printed and delivered.

    `show` is given lines, some at a time.  A destination that is out of reach is waited for no
    longer than `patience` when the job is left.

    Raises:
        JobRefused: the project asks for what this release cannot run.
        OSError: a destination cannot be written; also when the job is left.
        StoreError: the membership store cannot be used; also when the job is entered or left.
        WarehouseError: a parent model cannot be pulled.
        SourceError: a source cannot be followed.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        show: Callable[[Sequence[str]], None],
        *,
        json: bool = False,
        delivers: bool = True,
        reconciled: Reconciled = ignore,
        progress: Progress | None = None,
        backfill: Backfill | None = None,
        questions: Asked | None = None,
    ) -> None:
        self.reconciliation = Reconciliation(loaded, reconciled)
        self.patience = PATIENCE
        with ExitStack() as held:
            self._store = held.enter_context(closing(open_store(loaded)))
            self._outbox = held.enter_context(
                closing(Outbox(loaded, show, json=json, delivers=delivers))
            )
            self.emission = held.enter_context(
                closing(
                    Emission(
                        loaded,
                        self._store,
                        wake=self._outbox.wake,
                        giving_way=self._outbox.giving_way,
                        reconciled=self.reconciliation.add,
                        progress=progress,
                    )
                )
            )
            job = prepare_job(loaded, wall_clock(), self.emission, backfill)
            self.job = replace(job, questions=questions or job.questions)
            self._held = held.pop_all()

    def __enter__(self) -> Job:
        try:
            self._outbox.begin(self._store, self.job.stop.set)
        except BaseException:
            self._held.close()
            raise
        return self.job

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._held:
            self._outbox.drain(self.patience)
