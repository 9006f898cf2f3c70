"""`usher backfill`: conditions that are warming are given their past."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from cli.compiling import compile_core
from cli.failures import ENVIRONMENT, environment_failures, fail
from cli.validate import load_or_exit
from dataflows.backfill import Backfill, Report, read_report, request_backfill, sentences
from dataflows.job import run_job
from dataflows.lines import print_lines
from dataflows.log_lines import tell
from dataflows.ownership import is_owned, sole_job, usher_folder
from dataflows.recovery import with_stored_audiences
from dataflows.refusal import JobRefused
from dataflows.single import SingleJob
from project.folder import LoadedProject

_INTERVAL_SECONDS = 0.1


@click.command()
@click.pass_obj
def backfill(root: Path) -> None:
    """Make conditions exact that came after the events that they count.

    What a new or wider condition has missed is read once more from the sources: files from their
    beginning, Kafka topics from as far back as the window reaches. Then the audiences concerned are
    evaluated, and the difference becomes transitions with the cause `definition_changed`.

    A running job does this beside its work, while this verb waits. Where none runs, the verb runs
    it until it has caught up. What is interrupted begins again when the job is started next.

    \b
    Example:
      usher backfill
    """
    loaded = load_or_exit(root)
    with environment_failures():
        request = request_backfill(usher_folder(loaded.root))
        try:
            with sole_job(loaded.root):
                report = _run(loaded, request)
        except JobRefused:
            if not is_owned(loaded.root):
                raise
            report = _awaited(loaded.root, request)
    for sentence in sentences(report):
        click.echo(f"usher: {sentence}", err=True)


def _run(loaded: LoadedProject, request: str) -> Report:
    """The job by itself: time stands still until the backfill has ended."""
    compile_core()
    loaded = with_stored_audiences(loaded)
    asked = Backfill(usher_folder(loaded.root), request, is_alone=True)
    single = SingleJob(
        loaded, print_lines, reconciled=lambda _count: single.job.stop.set(), backfill=asked
    )
    with single as job:
        run_job(job)
    if single.emission.failure:
        sys.exit(ENVIRONMENT)
    return asked.report


def _awaited(root: Path, request: str) -> Report:
    """What the running job says at the end."""
    tell("the running job sees to it")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("backfill", total=None)
        while True:
            running = is_owned(root)
            report = read_report(usher_folder(root))
            if report is not None and report.request == request:
                progress.update(task, completed=report.done, total=report.size or None)
                if report.ended:
                    return report
            if not running:
                fail(
                    "the job has ended before the backfill has; it begins again when the job is "
                    "started next",
                    ENVIRONMENT,
                )
            time.sleep(_INTERVAL_SECONDS)
