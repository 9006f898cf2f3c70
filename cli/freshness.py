"""`usher freshness`: how fresh the snapshot is that each audience is judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from audience_dsl.instants import format_instant
from cli.failures import environment_failures
from cli.pull_records import pull_facts, summary
from cli.validate import load_or_exit
from dataflows.following import wall_clock
from dataflows.lines import visible
from project.columns import Remembered
from schedules.freshness import Freshness, freshness_of, state_of


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
            states = {one.key: state_of(one.key, plan, found) for one in plan.plan.audiences}
            if form == "json":
                for audience, state in sorted(states.items()):
                    facts = {"audience": audience, "state": state, **_facts(parent, found)}
                    click.echo(msgspec.json.encode(facts))
                continue
            click.echo(f"{visible(parent)}  {_text(found)}")
            for audience, state in sorted(states.items()):
                click.echo(f"  {visible(audience)}  {state}")


def _facts(parent_model: str, found: Freshness) -> dict[str, Any]:
    snapshot = found.snapshot
    return {
        "parent_model": parent_model,
        "snapshot": None
        if snapshot is None
        else {
            "version": snapshot.version,
            "taken_at": format_instant(snapshot.taken_at),
            "read_at": format_instant(snapshot.manifest.read_at),
            "rows": snapshot.rows,
        },
        "last_pull": None if found.last is None else pull_facts(found.last),
        "next_pull": format_instant(found.next_pull),
    }


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
