"""Running the realtime job: alone on its project, resumed from its state, stopped by a signal.

A job owns its project's `.usher` folder: a second one on the same folder is refused.  State and
the sources' positions are kept in Bytewax's recovery store, in exactly one partition, because a
damaged store of several can be resumed wrongly without anybody noticing.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main

from dataflows.preparation import Job, JobRefused
from dataflows.realtime import realtime_flow
from project.folder import LoadedProject

# State is stored this often.  An epoch writes every key group that has changed as a whole.
SNAPSHOT_INTERVAL = timedelta(seconds=10)

_RECOVERY = "recovery"
_PLANS = "plans.json"


def usher_folder(root: Path) -> Path:
    """Where a project's job keeps what it remembers; readable by its owner only."""
    folder = root / ".usher"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def sole_job(root: Path) -> Iterator[None]:
    """Hold the project's folder for one job.

    Raises:
        JobRefused: another job holds it.
    """
    path = usher_folder(root) / "lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobRefused(f"another job runs on this project (it holds {path})") from None
        yield


def run_job(job: Job, *, workers: int = 1, fresh: bool = False) -> None:
    """Run until SIGTERM or SIGINT; then evaluate what was read, store the state and return.

    Raises:
        JobRefused: the stored state belongs to other definitions, and `fresh` is not set.
    """
    recovery = _recovery(job.loaded, fresh)
    with _stopping_on_signals(job.stop.set):
        cluster_main(  # type: ignore[no-untyped-call]
            realtime_flow(job),
            [],
            0,
            epoch_interval=SNAPSHOT_INTERVAL,
            recovery_config=recovery,
            worker_count_per_proc=workers,
        )


def _recovery(loaded: LoadedProject, fresh: bool) -> RecoveryConfig:
    folder = usher_folder(loaded.root) / _RECOVERY
    versions = {parent: one.plan.version for parent, one in loaded.project.plans.items()}
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        folder.mkdir(mode=0o700)
        init_db_dir(folder, 1)  # type: ignore[no-untyped-call]
        aside = folder / f"{_PLANS}.part"
        aside.write_bytes(msgspec.json.encode(versions))
        aside.replace(folder / _PLANS)
    elif _stored_versions(folder) != versions:
        raise JobRefused(
            "the definitions have changed since the job's state was stored, and this release "
            "cannot carry the state over; start with --fresh to count anew from the sources"
        )
    return RecoveryConfig(folder, None)  # type: ignore[no-untyped-call]


def _stored_versions(folder: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode((folder / _PLANS).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise JobRefused(
            f"the stored state in {folder} is damaged ({error}); start with --fresh to count anew "
            "from the sources"
        ) from error


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
