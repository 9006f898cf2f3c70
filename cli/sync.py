"""`usher sync`: looking at one sync, and handling it; a verb of its own each."""

from __future__ import annotations

import click

from cli.sync_preview import preview


@click.group()
def sync() -> None:
    """Look at one sync, or do something with it.

    \b
    Example:
      usher sync preview pricing_to_archive
    """


sync.add_command(preview)
