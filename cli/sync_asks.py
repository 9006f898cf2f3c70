"""`usher sync resume` and `usher sync resync`: asked of whoever delivers."""

from __future__ import annotations

from pathlib import Path

import click

from cli.deliveries import sync_or_exit
from cli.failures import environment_failures
from cli.sync_requests import ask
from cli.validate import load_or_exit
from membership.deliveries import Ask
from project.stores import open_ledger

_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.command()
@click.argument("name")
@_FORMAT
@click.pass_obj
def resume(root: Path, name: str, form: str) -> None:
    """Deliver the sync NAME again: its destination works, or its credentials do.

    A sync that is paused or disabled goes on where it was, and nothing is missing. A running job
    does so within a second; without one, the next job begins with it. A job reads secrets when it
    starts: with new ones it has to be started again.

    \b
    Example:
      usher sync resume pricing_to_crm
    """
    _ask(root, name, Ask.RESUME, form)


@click.command()
@click.argument("name")
@_FORMAT
@click.pass_obj
def resync(root: Path, name: str, form: str) -> None:
    """Send all members of the sync's audience as entered, as of now.

    For a destination that has lost some. Each has the id that his entry had, so one that looks at
    ids takes only what it lacks. Who has left is not sent as such, and what the mapping takes of
    events is missing. It goes no faster than `initial_rate`, and transitions that happen meanwhile
    go first.

    \b
    Example:
      usher sync resync pricing_to_crm
    """
    _ask(root, name, Ask.RESYNC, form)


def _ask(root: Path, name: str, kind: Ask, form: str) -> None:
    loaded = load_or_exit(root)
    sync = sync_or_exit(loaded, name)
    if kind is Ask.RESYNC and sync.event_properties:
        named = ", ".join(f"event.{one}" for one in sync.event_properties)
        click.echo(
            f"usher: the events by which members entered are not kept: what the mapping takes of "
            f"them is missing ({named})",
            err=True,
        )
    with environment_failures(), open_ledger(loaded) as ledger:
        ask(ledger, loaded, [(name, kind, "")], form)
