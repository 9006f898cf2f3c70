"""How a membership is printed, for `usher members` and `usher user`."""

from __future__ import annotations

import click
import msgspec

from dataflows.lines import cause_text, visible
from membership.facts import Membership


def print_membership(membership: Membership, form: str, subject: str) -> None:
    """One line; `subject` is the half that differs from line to line: the user or the audience."""
    if form == "json":
        click.echo(msgspec.json.encode(membership))
        return
    click.echo(
        f"{membership.since}  {visible(subject)}  #{membership.sequence}  "
        f"{cause_text(membership.cause)}"
    )
