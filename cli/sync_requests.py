"""What operators ask of whoever delivers, and whether it was taken up."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from cli.delivery_lines import json_line
from dataflows.following import wall_clock
from membership.deliveries import Ask, Request
from membership.ledger import Ledger

# Seconds to wait for whoever delivers, who looks every second.
PATIENCE = 5.0
_PAUSE = 0.1


def ask(ledger: Ledger, wanted: Sequence[tuple[str, Ask, str]], form: str) -> None:
    """Ask for things, of a sync and of one transition or all, and print what became of each.

    Raises:
        StoreError: nothing could be asked for.
    """
    asked = [ledger.ask(sync, kind, wall_clock(), letter) for sync, kind, letter in wanted]
    deadline = time.monotonic() + PATIENCE
    while (left := _open(ledger, asked)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    for one in asked:
        is_taken = one not in left
        if form == "json":
            facts = {"sync": one.sync, "asked": str(one.kind), "id": one.letter or None}
            click.echo(json_line({**facts, "taken": is_taken}))
        elif is_taken:
            click.echo(f"{one.sync}: {one.kind} is under way")
        else:
            click.echo(f"{one.sync}: {one.kind} is asked for; {_not_taken(one)}")


def _not_taken(one: Request) -> str:
    if one.kind is Ask.REPLAY and not one.letter:
        return f"not all of it was taken up in {PATIENCE:.0f} s: the rest is, as long as a job runs"
    return f"no job has taken it up in {PATIENCE:.0f} s: the next one that delivers will"


def _open(ledger: Ledger, asked: Sequence[Request]) -> list[Request]:
    known = ledger.requests()
    return [one for one in asked if one in known]
