"""`usher run`: the long-lived job."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from cli.compiling import compile_core
from cli.control import controlled
from cli.failures import ENVIRONMENT, FAILURES, environment_failures, sentence_of
from cli.supervision import Supervised
from cli.validate import load_or_exit
from dataflows.job import Start, run_job
from dataflows.lines import print_lines
from dataflows.ownership import sole_job
from dataflows.preparation import JobRefused, tell
from dataflows.recovery import with_stored_audiences
from dataflows.single import SingleJob
from dataflows.summary import RecordCounts
from project.folder import LoadedProject


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that the work is divided among.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print transitions; json: the transition record, one object a line.",
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Forget the stored state and count anew from the sources; what was told stays told.",
)
@click.pass_obj
def run(root: Path, workers: int, form: str, rebuild: bool) -> None:
    """Evaluate the project's audiences on its sources until SIGTERM.

    Prints every entry and exit as it happens and appends them to the file destinations of the
    project's syncs. A source whose path is - reads events from standard input.

    Definitions that change take force while it runs, and at once on SIGHUP.

    \b
    Example:
      usher run
      tail -F events.jsonl | usher -C shop run --format json
    """
    loaded = load_or_exit(root)
    # When the reader of our output has gone, deliveries to destinations go on.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with environment_failures(), sole_job(loaded.root) as lock:
        options = _Options(workers, form == "json", RecordCounts(), lock)
        _run(loaded, options, Start.REBUILD if rebuild else Start.RESUME)


@dataclass(frozen=True, slots=True)
class _Options:
    """What stays the same for one job after the other."""

    workers: int
    json: bool
    counts: RecordCounts
    lock: int


class _InProcess:
    """A job of one process, as `Supervised` is one of several."""

    def __init__(self, single: SingleJob) -> None:
        self._single = single
        self.stop = single.job.stop

    @property
    def failed(self) -> bool:
        return self._single.emission.failure is not None

    def run(self, start: Start) -> None:
        with self._single as job:
            run_job(job, start=start)


def _run(loaded: LoadedProject, options: _Options, start: Start) -> None:
    """One job after the other, each with the definitions that the one before was ended for."""
    compile_core()
    job = _prepared(loaded, options, start)
    with controlled(loaded) as control:
        while True:
            control.attach(job.stop)
            job.run(start)
            changed = control.take_next()
            if changed is None or job.failed:
                break
            start = Start.RESUME
            try:
                job = _prepared(changed, options, start)
            except FAILURES as error:
                tell(f"{sentence_of(error)}; the job goes on with the definitions before")
                job = _prepared(loaded, options, start)
            else:
                loaded = changed
    counts = options.counts
    tell(
        f"stopped; {counts.read:,} events read, {counts.ignored:,} ignored, "
        f"{counts.invalid:,} invalid"
    )
    if job.failed:
        sys.exit(ENVIRONMENT)


def _tell_differences(count: int) -> None:
    if count:
        tell(f"{count:,} corrections were needed for the journal to agree with the state")


def _prepared(loaded: LoadedProject, options: _Options, start: Start) -> _InProcess | Supervised:
    try:
        loaded = with_stored_audiences(loaded)
    except JobRefused:
        if start is Start.RESUME:
            raise
    job: _InProcess | Supervised
    if options.workers == 1:
        single = SingleJob(
            loaded,
            print_lines,
            json=options.json,
            counts=options.counts,
            reconciled=_tell_differences,
        )
        job, snapshots = _InProcess(single), single.job.audiences.snapshots
    else:
        job = Supervised(
            loaded,
            options.workers,
            options.lock,
            print_lines,
            json=options.json,
            counts=options.counts,
            reconciled=_tell_differences,
        )
        snapshots = job.preparation.snapshots
    for parent, snapshot in snapshots.items():
        tell(f"{parent}: snapshot {snapshot.version} of {snapshot.rows:,} rows")
    tell("running; stop with SIGTERM or Ctrl-C")
    return job
