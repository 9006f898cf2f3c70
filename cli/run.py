"""`usher run`: the long-lived job."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from cli.compiling import compile_core
from cli.control import controlled
from cli.failures import ENVIRONMENT, environment_failures
from cli.validate import load_or_exit
from connectors.sources.errors import SourceError
from dataflows.backfill import Backfill, requested_backfill
from dataflows.emission import Emission
from dataflows.following import wall_clock
from dataflows.job import Start, run_job
from dataflows.ownership import sole_job, usher_folder
from dataflows.preparation import Job, JobRefused, prepare_job, tell
from dataflows.recovery import with_stored_audiences
from dataflows.summary import RecordCounts
from membership.errors import StoreError
from project.folder import LoadedProject
from warehouse.errors import WarehouseError


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
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
    "start",
    flag_value=Start.REBUILD,
    help="Count anew from the sources, for instance because the stored state is damaged.",
)
@click.option(
    "--fresh",
    "start",
    flag_value=Start.FRESH,
    help="Forget all that the job remembers, and count anew.",
)
@click.pass_obj
def run(root: Path, workers: int, form: str, start: Start | None) -> None:
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
    with environment_failures(), sole_job(loaded.root):
        _run(loaded, workers, form, start or Start.RESUME)


def _run(loaded: LoadedProject, workers: int, form: str, start: Start) -> None:
    """One job after the other, each with the definitions that the one before was ended for."""
    compile_core()
    counts = RecordCounts()
    emission, job = _prepared(loaded, form, counts, start)
    with controlled(loaded) as control:
        while True:
            control.attach(job.stop, job.backfill.request if job.backfill else None)
            try:
                run_job(job, workers=workers, start=start)
            finally:
                emission.close()
            changed = control.take_next()
            if changed is None or emission.failure:
                break
            start = Start.RESUME
            try:
                emission, job = _prepared(changed, form, counts, start)
            except (JobRefused, SourceError, WarehouseError, StoreError, OSError) as error:
                click.echo(f"usher: {error}; the job goes on with the definitions before", err=True)
                emission, job = _prepared(loaded, form, counts, start)
            else:
                loaded = changed
    click.echo(
        f"usher: stopped; {counts.read:,} events read, {counts.ignored:,} ignored, "
        f"{counts.invalid:,} invalid",
        err=True,
    )
    if emission.failure:
        sys.exit(ENVIRONMENT)


def _tell_differences(count: int) -> None:
    if count:
        click.echo(
            f"usher: {count:,} corrections were needed for the journal to agree with the state",
            err=True,
        )


def _prepared(
    loaded: LoadedProject, form: str, counts: RecordCounts, start: Start
) -> tuple[Emission, Job]:
    if start is Start.RESUME:
        loaded = with_stored_audiences(loaded)
    emission = Emission(
        loaded,
        _print_line,
        json=form == "json",
        counts=counts,
        reconciled=_tell_differences,
    )
    try:
        job = prepare_job(loaded, wall_clock(), emission, _backfill(loaded.root))
    except BaseException:
        emission.close()
        raise
    for parent, snapshot in job.audiences.snapshots.items():
        click.echo(
            f"usher: {parent}: snapshot {snapshot.version} of {snapshot.rows:,} rows", err=True
        )
    click.echo("usher: running; stop with SIGTERM or Ctrl-C", err=True)
    return emission, job


def _backfill(root: Path) -> Backfill | None:
    folder = usher_folder(root)
    request = requested_backfill(folder)
    return None if request is None else Backfill(folder, request, tell)


def _print_line(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
