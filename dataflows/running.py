"""Running a flow: what goes wrong in one of its steps comes out as it was raised there."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from datetime import timedelta

from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

_OF_STORE = re.compile(r'SqliteFailure\(.*Some\("(?P<reason>[^"]*)"\)\)')


def run_flow(
    flow: Dataflow,
    *,
    epoch: timedelta,
    recovery: RecoveryConfig | None = None,
    workers: int = 1,
    addresses: Sequence[str] = (),
    process: int = 0,
) -> None:
    """Run in this process until the flow ends.

    Args:
        workers: Threads of this process.
        addresses: Of a cluster the processes, like `127.0.0.1:2101`; this one is number `process`.

    Raises:
        OSError: the recovery store cannot be written.
        Exception: what a step has raised; the epoch it happened in is not stored.
    """
    try:
        cluster_main(  # type: ignore[no-untyped-call]
            flow,
            list(addresses),
            process,
            epoch_interval=epoch,
            recovery_config=recovery,
            worker_count_per_proc=workers,
        )
    except BytewaxRuntimeError as error:
        failure: BaseException = error
    except RuntimeError as error:  # Bytewax does not expect its store to fail, and says what did
        told = _OF_STORE.search(str(error))
        if told is None or recovery is None:
            raise
        raise OSError(errno.EIO, told["reason"], str(recovery.db_dir)) from error
    else:
        return
    while isinstance(failure, BytewaxRuntimeError) and failure.__cause__ is not None:
        failure = failure.__cause__
    raise failure
