"""What operators ask of whoever delivers, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

import click

from cli.delivery_lines import json_line
from cli.failures import ENVIRONMENT, fail
from connectors.wall_clock import wall_clock
from dataflows.ownership import is_delivered
from membership.deliveries import Ask, Request
from membership.ledger import Ledger
from project.folder import LoadedProject
from project.stores import is_of_one_machine

# Seconds to wait for whoever delivers, who looks every second.
PATIENCE = 5.0
_PAUSE = 0.1


def ask(
    ledger: Ledger, loaded: LoadedProject, wanted: Sequence[tuple[str, Ask, str]], form: str
) -> None:
    """Ask for things, of a sync and of one transition or all, and print what became of each.

    Nobody is waited for where nobody can be delivering.

    Raises:
        StoreError: nothing could be asked for.
    """
    runs = True if is_delivered(loaded.root) else False if is_of_one_machine(loaded) else None
    _refuse_unknown(ledger, [sync for sync, _, _ in wanted], runs)
    asked = [ledger.ask(sync, kind, wall_clock(), letter) for sync, kind, letter in wanted]
    deadline = time.monotonic() + (0.0 if runs is False else PATIENCE)
    while (left := _open(ledger, asked)) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    for one in asked:
        is_taken = one not in left
        if form == "json":
            facts = {"sync": one.sync, "asked": str(one.kind), "id": one.letter or None}
            click.echo(json_line({**facts, "taken": is_taken, "running": is_taken or runs}))
        elif is_taken:
            click.echo(f"{one.sync}: {one.kind} is under way")
        else:
            click.echo(f"{one.sync}: {one.kind} is asked for; {_not_taken(one, runs)}")


def _refuse_unknown(ledger: Ledger, syncs: Sequence[str], runs: bool | None) -> None:
    """End the verb if whoever delivered last did not know one of the syncs."""
    begun = ledger.cursors()
    for one in syncs:
        if one not in begun:
            who = "the running job" if runs else "no job"
            fail(
                f"nothing can be asked of sync '{one}' before a job has begun it, and {who} has"
                f"{' not' if runs else ''}; a new sync begins with all members by itself, unless "
                "it says initial: hold",
                ENVIRONMENT,
            )


def _not_taken(one: Request, runs: bool | None) -> str:
    if runs is False:
        return "no job runs that delivers: the next one begins with it"
    if runs is None:
        return (
            f"no job on this machine delivers, and none elsewhere has taken it up in "
            f"{PATIENCE:.0f} s: the next one that delivers will"
        )
    if one.kind is Ask.REPLAY and not one.letter:
        return f"not all of it was taken up in {PATIENCE:.0f} s: the rest is, as long as a job runs"
    return (
        f"the running job has not taken it up in {PATIENCE:.0f} s; it will, unless its definitions "
        "are others than these: then one with these will"
    )


def _open(ledger: Ledger, asked: Sequence[Request]) -> list[Request]:
    known = ledger.requests()
    return [one for one in asked if one in known]
