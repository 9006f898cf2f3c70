"""Running the realtime job: resumed from its stored state, stopped when it is told to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum

import msgspec

from dataflows.chains import DamagedLog
from dataflows.checkpoints import Checkpoints
from dataflows.memory import keep_freed_memory, rare_cycle_search
from dataflows.preparation import Job
from dataflows.realtime import realtime_flow
from dataflows.recalling import Recall
from dataflows.recovery import Recovery, damaged, forget_state, open_recovery
from dataflows.running import run_flow
from dataflows.threads import short_turns
from engine.codec import DamagedState, ForeignState

# State is stored this often.  An epoch writes the users who have changed.
EPOCH = timedelta(seconds=1)


class Start(Enum):
    """What a job begins with."""

    RESUME = "resume"
    """What it had come to."""
    REBUILD = "rebuild"
    """Its sources from their beginning; what it has told stays."""


def run_job(job: Job, *, start: Start = Start.RESUME) -> None:
    """Run until `job.stop` is set; then evaluate what was read, store the state and return.

    It also returns, as cleanly, when a source cannot be read any more, which `Outputs.failed` is
    told.

    Raises:
        JobRefused: the stored state is damaged, and is to be resumed.
        OSError: a destination or the state cannot be written.
    """
    if start is not Start.RESUME:
        forget_state(job.loaded.root)
    recovery = open_recovery(job.loaded)
    try:
        job = replace(job, recall=_recall(job, recovery))
    except (DamagedState, DamagedLog, ForeignState) as error:
        raise damaged(recovery.log.folder, error) from error
    run_from(job, recovery)
    if job.backfill is not None:
        job.backfill.close()


def run_from(
    job: Job, recovery: Recovery, *, addresses: Sequence[str] = (), process: int = 0
) -> None:
    """The same from a store that has been verified, as one of several processes perhaps."""
    checkpoints = Checkpoints(recovery.log, job.outputs.giving_way)
    audiences = msgspec.structs.replace(
        job.audiences, checkpoints=checkpoints, resumed_at=recovery.clock
    )
    job = replace(job, audiences=audiences, stored=recovery.shares, switches=recovery.switches)
    flow = realtime_flow(job)
    keep_freed_memory()
    try:
        with rare_cycle_search(), short_turns():
            run_flow(
                flow, epoch=EPOCH, recovery=recovery.config, addresses=addresses, process=process
            )
    except (DamagedState, DamagedLog, ForeignState) as error:
        raise damaged(recovery.log.folder, error) from error


def _recall(job: Job, recovery: Recovery) -> Recall | None:
    """What the backfill has to bring back that was asked for."""
    if job.backfill is None:
        return None
    plans = job.audiences.plans
    warming = recovery.warming(plans)
    recall = Recall.of(warming, plans, job.loaded.project.events, recovery.clock)
    job.backfill.begin(recall)
    if recall.sources:
        return recall
    if job.backfill.is_alone:
        job.stop.set()
    return None
