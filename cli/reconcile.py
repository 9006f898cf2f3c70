"""`usher reconcile`: the journal compared with the state, and corrected where they differ."""

from __future__ import annotations

from pathlib import Path

import click

from cli.compiling import compile_core
from cli.failures import environment_failures
from cli.validate import load_or_exit
from dataflows.job import run_job
from dataflows.lines import print_lines
from dataflows.ownership import sole_job
from dataflows.recovery import with_stored_audiences
from dataflows.single import SingleJob


@click.command()
@click.pass_obj
def reconcile(root: Path) -> None:
    """Compare the recorded memberships with the state, and correct them.

    Starts the job, lets it catch up with its sources, compares every user's memberships with the
    journal, and ends. Differences become transitions with the cause `reconciled`, which are printed
    and delivered as any others. A running job has done so when it started, so this verb refuses to
    run beside it.

    \b
    Example:
      usher reconcile
    """
    loaded = load_or_exit(root)
    with environment_failures(), sole_job(loaded.root):
        compile_core()
        loaded = with_stored_audiences(loaded)
        single = SingleJob(loaded, print_lines, reconciled=lambda _count: single.job.stop.set())
        with single as job:
            run_job(job)
    differences = single.reconciliation.differences
    click.echo(f"usher: {differences:,} difference{'' if differences == 1 else 's'}", err=True)
