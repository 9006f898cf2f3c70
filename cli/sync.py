"""`usher sync`: looking at one sync, and handling it; a verb of its own each."""

from __future__ import annotations

import click

from cli.sync_asks import resume, resync
from cli.sync_preview import preview
from cli.sync_trial import trial


@click.group()
def sync() -> None:
    """Look at one sync, or do something with it.

    \b
    Example:
      usher sync preview pricing_to_archive
      usher sync test pricing_to_archive
    """


for command in (preview, trial, resume, resync):
    sync.add_command(command)
