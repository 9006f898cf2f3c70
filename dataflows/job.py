"""Running the realtime job: resumed from its stored state, stopped when it is told to."""

from __future__ import annotations

from datetime import timedelta

from dataflows.preparation import Job
from dataflows.realtime import realtime_flow
from dataflows.recovery import damaged, open_recovery
from dataflows.running import run_flow
from engine.codec import DamagedState, ForeignState

# State is stored this often.  An epoch writes every key group that has changed as a whole.
SNAPSHOT_INTERVAL = timedelta(seconds=10)


def run_job(job: Job, *, workers: int = 1, fresh: bool = False) -> None:
    """Run until `job.stop` is set; then evaluate what was read, store the state and return.

    It also returns, as cleanly, when a source cannot be read any more, which `Outputs.failed` is
    told.

    Raises:
        JobRefused: the stored state is damaged, and `fresh` is not set.
        OSError: a destination cannot be written to.
    """
    recovery = open_recovery(job.loaded, fresh=fresh)
    try:
        run_flow(realtime_flow(job), workers=workers, epoch=SNAPSHOT_INTERVAL, recovery=recovery)
    except (DamagedState, ForeignState) as error:
        raise damaged(recovery.db_dir, error) from error
