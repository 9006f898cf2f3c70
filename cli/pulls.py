"""`usher pulls`: the history of pulls."""

from __future__ import annotations

from pathlib import Path

import click

from cli.failures import environment_failures
from cli.pull import chosen
from cli.pull_records import PullShape, print_pull
from cli.validate import load_or_exit
from project.columns import Remembered
from warehouse.refresh import history_of


@click.command()
@click.argument("parents", metavar="[PARENT]...", nargs=-1)
@click.option("--limit", type=click.IntRange(1), help="Print at most so many of each.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def pulls(root: Path, parents: tuple[str, ...], limit: int | None, form: PullShape) -> None:
    """Print the pulls of the parent models PARENT, or of all, the newest first.

    \b
    Example:
      usher pulls users --limit 10
      usher pulls --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    with environment_failures():
        for parent in chosen(loaded, parents):
            known = history_of(loaded.root, loaded.project.parent_models[parent]).pulls()
            for one in known[::-1][:limit]:
                print_pull(parent, one, form)
