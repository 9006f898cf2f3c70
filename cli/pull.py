"""`usher pull`: parent models are read from the warehouse, now."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.failures import ENVIRONMENT, FAILURES, MISTAKE, fail, sentence_of
from cli.pull_records import PullShape, print_pull
from cli.validate import load_or_exit
from connectors.wall_clock import wall_clock
from project.folder import LoadedProject
from warehouse.history import Pull, Trigger
from warehouse.refresh import Request, refresh, roll_back


@click.command()
@click.argument("parents", metavar="[PARENT]...", nargs=-1)
@click.option("--rollback", is_flag=True, help="Return to the version before, and read nothing.")
@click.option("--allow-shrink", is_flag=True, help="Fewer rows than max_shrink allows are meant.")
@click.option("--full", is_flag=True, help="Read all rows, also those that have not changed.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def pull(
    root: Path,
    parents: tuple[str, ...],
    rollback: bool,
    allow_shrink: bool,
    full: bool,
    form: PullShape,
) -> None:
    """Pull the parent models PARENT, or all of them, from the warehouse.

    What was pulled is checked; if anything is wrong with it, the snapshot in force stays. A running
    job goes on meanwhile.

    \b
    Example:
      usher pull users
      usher pull users --rollback
    """
    loaded = load_or_exit(root)
    if rollback and (allow_shrink or full):
        fail("--rollback reads nothing, so --allow-shrink and --full say nothing", MISTAKE)
    code = 0
    for parent in chosen(loaded, parents):
        try:
            done = _pulled(loaded, parent, rollback, Request(Trigger.ON_DEMAND, allow_shrink, full))
        except FAILURES as error:
            click.echo(f"usher: {sentence_of(error)}", err=True)
            code = ENVIRONMENT
        else:
            print_pull(parent, done, form)
    sys.exit(code)


def chosen(loaded: LoadedProject, parents: tuple[str, ...]) -> list[str]:
    """The parent models that are named, or all; ends the verb if one is unknown."""
    known = loaded.project.parent_models
    for parent in parents:
        if parent not in known:
            fail(f"unknown parent model '{parent}'; the project has {', '.join(known)}", MISTAKE)
    return list(dict.fromkeys(parents)) or list(known)


def _pulled(loaded: LoadedProject, parent: str, rollback: bool, request: Request) -> Pull:
    plan = loaded.project.plans[parent]
    if rollback:
        return roll_back(loaded.root, plan, wall_clock())
    return refresh(loaded.root, loaded.project.warehouse, plan, wall_clock(), request)
