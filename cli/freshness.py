"""`usher freshness`: how fresh the snapshot is that each audience is judged by."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from audience_dsl.instants import format_instant
from cli.failures import environment_failures
from cli.pull_records import summary
from cli.validate import load_or_exit
from connectors.wall_clock import wall_clock
from dataflows.lines import visible
from project.columns import Remembered
from schedules.facts import freshness_facts, states_of
from schedules.freshness import Freshness, freshness_of


@click.command()
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def freshness(root: Path, form: str) -> None:
    """Print of each audience how fresh its warehouse data is.

    current: as the schedule wants it. stale: older than that. refreshing: a pull is under way.
    pending: no pull has answered its conditions yet.

    \b
    Example:
      usher freshness
      usher freshness --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    now = wall_clock()
    with environment_failures():
        for parent, plan in loaded.project.plans.items():
            found = freshness_of(loaded.root, plan, now)
            states = states_of(plan, found)
            if form == "json":
                for audience, state in states.items():
                    facts = {"audience": audience, "state": state, **freshness_facts(parent, found)}
                    click.echo(msgspec.json.encode(facts))
                continue
            click.echo(f"{visible(parent)}  {_text(found)}")
            for audience, state in states.items():
                click.echo(f"  {visible(audience)}  {state}")


def _text(found: Freshness) -> str:
    parts = []
    if found.snapshot is not None:
        parts.append(
            f"{found.snapshot.rows:,} rows of {format_instant(found.snapshot.manifest.read_at)}"
        )
    if found.last is None:
        parts.append("never pulled")
    else:
        parts.append(f"last pull {format_instant(found.last.pull_date)} {summary(found.last)}")
    parts.append(f"next pull {format_instant(found.next_pull)}")
    return "; ".join(parts)
