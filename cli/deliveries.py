"""`usher deliveries`: how each sync stands, and what was said to its destination."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import click

from audience_dsl.definitions import Sync
from cli.delivery_lines import (
    attempt_text,
    json_line,
    standing_text,
)
from cli.failures import MISTAKE, environment_failures, fail
from cli.validate import load_or_exit
from connectors.wall_clock import wall_clock
from delivery.facts import attempt_facts, standing_facts
from delivery.standings import standings
from membership.delivery_log import DeliveryLog
from project.folder import LoadedProject
from project.stores import open_reader

# Attempts that are shown without --log, and the most that are read at once.
_SHOWN = 10
_PAGE = 1_000

# Seconds between two looks for something new.
_PAUSE = 0.2


@click.command()
@click.argument("name", metavar="[SYNC]", required=False)
@click.option(
    "--log",
    "shown",
    type=click.IntRange(0),
    metavar="N",
    help=f"With SYNC: print its last N attempts; {_SHOWN} by default.",
)
@click.option("--follow", is_flag=True, help="With SYNC: print further attempts as they come.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def deliveries(root: Path, name: str | None, shown: int | None, follow: bool, form: str) -> None:
    """Print how each sync stands; with SYNC also its last attempts, the newest last.

    new: no job has begun it. running: it is delivered. open: its destination fails, and is tried
    now and then. paused: its credentials are refused, and are tried every five minutes. disabled:
    its destination is gone, until `usher sync resume`. All this is read from the store, whether a
    job runs or not; a running one writes it down every second.

    Requests and answers are shown without secrets and personal values.

    \b
    Example:
      usher deliveries
      usher deliveries pricing_to_crm --log 50
      usher deliveries --format json
    """
    if name is None and (shown is not None or follow):
        fail("--log and --follow are about one sync; say which: usher deliveries SYNC", MISTAKE)
    loaded = load_or_exit(root)
    chosen = loaded.project.syncs.values() if name is None else [sync_or_exit(loaded, name)]
    with environment_failures(), closing(open_reader(loaded)) as reader:
        ordered = sorted(chosen, key=lambda one: one.key)
        for one in standings(ordered, reader, wall_clock()):
            if form == "json":
                click.echo(json_line(standing_facts(one)))
            else:
                click.echo("\n".join(standing_text(one)))
        if name is None:
            return
        log = reader.deliveries
        last = _before_last(log, name, _SHOWN if shown is None else shown)
        last = _print_after(log, name, last, form)
        while follow:
            time.sleep(_PAUSE)
            last = _print_after(log, name, last, form)


def sync_or_exit(loaded: LoadedProject, name: str) -> Sync:
    """The sync of that name; without one the verb ends."""
    if name not in loaded.project.syncs:
        known = ", ".join(sorted(loaded.project.syncs)) or "no sync"
        fail(f"unknown sync '{name}'; the project has {known}", MISTAKE)
    return loaded.project.syncs[name]


def _before_last(log: DeliveryLog, sync: str, count: int) -> int:
    """The number that the last so many attempts follow."""
    newest = log.attempts(sync, limit=1)
    return max(0, newest[0][0] - count) if newest else 0


def _print_after(log: DeliveryLog, sync: str, after: int, form: str) -> int:
    """Print the attempts after a number, in their order; return the number of the last one."""
    while found := log.attempts_after(sync, after, _PAGE):
        for number, one in found:
            if form == "json":
                click.echo(json_line(attempt_facts(sync, number, one)))
            else:
                click.echo("\n".join(attempt_text(number, one)))
        after = found[-1][0]
    return after
