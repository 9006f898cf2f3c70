"""How pulls are printed, for `usher pull`, `usher pulls` and `usher freshness`."""

from __future__ import annotations

from typing import Literal

import click
import msgspec

from audience_dsl.instants import SECOND, format_instant
from dataflows.lines import visible
from schedules.facts import pull_facts
from warehouse.history import Extent, Pull, Status

PullShape = Literal["text", "json"]


def print_pull(parent_model: str, pull: Pull, form: PullShape) -> None:
    """One line."""
    if form == "json":
        click.echo(msgspec.json.encode({"parent_model": parent_model, **pull_facts(pull)}))
    else:
        click.echo(f"{format_instant(pull.pull_date)}  {visible(parent_model)}  {summary(pull)}")


def summary(pull: Pull) -> str:
    """What became of it, as a person reads it."""
    what = f"{pull.extent} ({pull.trigger})"
    lasted = "" if pull.duration is None else f" after {pull.duration / SECOND:.1f} s"
    match pull.status:
        case Status.RUNNING:
            return f"running: {what}"
        case Status.FAILED:
            return f"failed{lasted}: {visible(pull.error or '')}"
    lasted = lasted.replace("after", "in")
    counts = [
        f"{count:,} {what}"
        for count, what in ((pull.rows, "rows"), (pull.moved, "users moved"))
        if count is not None
    ]
    to = f" to {pull.version}" if pull.extent is Extent.ROLLBACK else ""
    return f"succeeded{lasted}: {what}{to}" + "".join(f", {one}" for one in counts)
