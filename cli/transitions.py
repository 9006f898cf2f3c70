"""`usher transitions`: the journal, and what is added to it."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import click

from cli.failures import environment_failures
from cli.validate import load_or_exit
from dataflows.lines import json_line, text_line
from project.columns import Remembered
from project.stores import open_reader

# Seconds between two looks for something new.
_PAUSE = 0.1


@click.command()
@click.option("--follow", is_flag=True, help="Wait for further ones and print them as they come.")
@click.option("--audience", metavar="ID", help="Only of this audience.")
@click.option("--user", "user_id", metavar="ID", help="Only of this user.")
@click.option(
    "--last",
    type=click.IntRange(0),
    metavar="N",
    help="Begin with the last N of the journal, not with the oldest that is kept.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def transitions(
    root: Path,
    follow: bool,
    audience: str | None,
    user_id: str | None,
    last: int | None,
    form: str,
) -> None:
    """Print entries and exits in the order in which they were recorded.

    Audiences that have been removed from the project are among them.

    \b
    Example:
      usher transitions --user u000008
      usher transitions --follow --last 0 --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    line = json_line if form == "json" else text_line
    with environment_failures(), closing(open_reader(loaded)) as reader:
        position = None if last is None else reader.position_before(last)
        while True:
            page = reader.transitions(position, audience=audience, user_id=user_id)
            for entry in page.entries:
                click.echo(line(entry.record))
            if not page.entries:
                if not follow:
                    return
                time.sleep(_PAUSE)
            position = page.position
