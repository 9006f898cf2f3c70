"""Running the realtime job: resumed from its stored state, stopped by a signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from dataflows.preparation import Job
from dataflows.realtime import realtime_flow
from dataflows.recovery import damaged, open_recovery
from dataflows.running import run_flow
from engine.codec import DamagedState, ForeignState

# State is stored this often.  An epoch writes every key group that has changed as a whole.
SNAPSHOT_INTERVAL = timedelta(seconds=10)


def run_job(job: Job, *, workers: int = 1, fresh: bool = False) -> None:
    """Run until SIGTERM or SIGINT; then evaluate what was read, store the state and return.

    It also returns, as cleanly, when a source cannot be read any more, which `Outputs.failed` is
    told.

    Raises:
        JobRefused: the stored state is damaged or belongs to other definitions, and `fresh` is
            not set.
        OSError: a destination cannot be written to.
    """
    recovery = open_recovery(job.loaded, fresh=fresh)
    try:
        with _stopping_on_signals(job.stop.set):
            run_flow(
                realtime_flow(job), workers=workers, epoch=SNAPSHOT_INTERVAL, recovery=recovery
            )
    except (DamagedState, ForeignState) as error:
        raise damaged(recovery.db_dir, error) from error


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
