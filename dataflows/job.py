"""Running the realtime job: resumed from its stored state, stopped by a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from enum import Enum

import msgspec

from dataflows.chains import DamagedLog
from dataflows.checkpoints import Checkpoints
from dataflows.preparation import Job
from dataflows.realtime import realtime_flow
from dataflows.recovery import damaged, forget_state, open_recovery
from dataflows.running import run_flow
from engine.codec import DamagedState, ForeignState

# State is stored this often.  An epoch writes the users who have changed.
EPOCH = timedelta(seconds=1)


class Start(Enum):
    """What a job begins with."""

    RESUME = "resume"
    """What it had come to."""
    REBUILD = "rebuild"
    """Its sources from their beginning; what it has told stays."""
    FRESH = "fresh"
    """Nothing: it forgets its state, and what it has told."""


def run_job(job: Job, *, workers: int = 1, start: Start = Start.RESUME) -> None:
    """Run until SIGTERM or SIGINT; then evaluate what was read, store the state and return.

    It also returns, as cleanly, when a source cannot be read any more, which `Outputs.failed` is
    told.

    Raises:
        JobRefused: the stored state is damaged or belongs to other definitions, and is to be
            resumed.
        OSError: a destination or the state cannot be written.
    """
    with _stopping_on_signals(job.stop.set):
        if start is not Start.RESUME:
            forget_state(job.loaded.root)
        recovery = open_recovery(job.loaded)
        audiences = msgspec.structs.replace(job.audiences, checkpoints=Checkpoints(recovery.log))
        flow = realtime_flow(replace(job, audiences=audiences))
        try:
            run_flow(flow, workers=workers, epoch=EPOCH, recovery=recovery.config)
        except (DamagedState, DamagedLog, ForeignState) as error:
            raise damaged(recovery.log.folder, error) from error


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    previous = {
        number: signal.signal(number, lambda _signum, _frame: stop())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
