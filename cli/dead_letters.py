"""`usher dead-letters`: what could not be processed or delivered, and sending it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import click

from cli.deliveries import sync_or_exit
from cli.delivery_lines import (
    exchange_text,
    json_line,
    letter_details_text,
    letter_text,
)
from cli.event_letters import EVENT, EventLetter, event_letters
from cli.failures import MISTAKE, environment_failures, fail
from cli.sync_requests import ask
from cli.validate import load_or_exit
from dataflows.lines import visible
from delivery.facts import letter_details, letter_facts
from membership.deliveries import Ask, DeadLetter
from membership.delivery_log import PAGE, DeliveryLog
from membership.errors import StoreMissing
from project.folder import LoadedProject
from project.stores import open_ledger, open_reader

_X = TypeVar("_X")

_SYNC = click.option("--sync", "sync", metavar="NAME", help="Only those of this sync.")
_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group("dead-letters", invoke_without_command=True)
@_SYNC
@_FORMAT
@click.pass_context
def dead_letters(ctx: click.Context, sync: str | None, form: str) -> None:
    """What could not be processed or delivered, and why; alone it lists them.

    There are two kinds. A delivery that its destination will never take, or did not take for three
    days, can be sent again. An event that could not be understood can only be shown: it has to be
    mended where it comes from, and is counted when the source has it again.

    \b
    Example:
      usher dead-letters
      usher dead-letters show 2d41402abc4b2a76b9719d911017c592
      usher dead-letters replay --sync pricing_to_crm
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, sync, form)
    elif sync is not None or form != "text":
        fail(f"say options behind {ctx.invoked_subcommand}", MISTAKE)


@dead_letters.command("list")
@_SYNC
@_FORMAT
@click.pass_obj
def list_(root: Path, sync: str | None, form: str) -> None:
    """Print them, a line each: deliveries by sync and user, then events as they came.

    \b
    Example:
      usher dead-letters list --sync pricing_to_crm --format json
    """
    _list(root, sync, form)


@dead_letters.command()
@click.argument("id", metavar="ID")
@_FORMAT
@click.pass_obj
def show(root: Path, id: str, form: str) -> None:
    """Print all about the dead letter ID, with the last request and its answer.

    They are shown without secrets and personal values; `usher sync preview` prints in full what a
    sync sends.

    \b
    Example:
      usher dead-letters show 2d41402abc4b2a76b9719d911017c592
    """
    loaded = load_or_exit(root)
    with environment_failures():
        if id.startswith(EVENT):
            found = [one for one in event_letters(loaded.root) if one.id == id]
            _known(id, found)
            for event in found:
                _show_event(event, form)
            return
        letters = _known(id, _of(loaded, id))
    for key, letter in letters:
        if form == "json":
            click.echo(json_line(letter_details(key, letter)))
        else:
            click.echo("\n".join(letter_details_text(key, letter)))


@dead_letters.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--sync", "sync", metavar="NAME", help="Only those of this sync.")
@click.option("--all", "everything", is_flag=True, help="All of them, as without anything.")
@_FORMAT
@click.pass_obj
def replay(root: Path, ids: tuple[str, ...], sync: str | None, everything: bool, form: str) -> None:
    """Send deliveries again that were given up: those with an ID, of a sync, or all.

    A running job does so at once; without one, the next job begins with it. They have the ids and
    bodies that they had. What is given up once more is a dead letter again. A user's later
    transitions may have been delivered before, so who mirrors members has to look at the sequence.

    \b
    Example:
      usher dead-letters replay
      usher dead-letters replay 2d41402abc4b2a76b9719d911017c592
      usher dead-letters replay --sync pricing_to_crm
    """
    if everything and (ids or sync):
        fail("--all is all of them; leave out the rest, or --all", MISTAKE)
    loaded = load_or_exit(root)
    if sync is not None:
        sync_or_exit(loaded, sync)
    with environment_failures(), open_ledger(loaded) as ledger:
        wanted = _wanted(ledger, loaded, ids, sync)
        if not wanted:
            click.echo("usher: there is no delivery to be sent again", err=True)
        ask(ledger, loaded, wanted, form)


def _wanted(
    log: DeliveryLog, loaded: LoadedProject, ids: Sequence[str], sync: str | None
) -> list[tuple[str, Ask, str]]:
    """What is to be asked for: of a sync, and of one transition or all."""
    if not ids:
        found = [key for key in log.dead_letter_counts() if sync in {None, key}]
        return [(key, Ask.REPLAY, "") for key in found if key in loaded.project.syncs]
    wanted = []
    for id in dict.fromkeys(ids):
        if id.startswith(EVENT):
            fail(
                f"'{id}' is an event that could not be understood; mend it where it comes from "
                "and let the source have it again",
                MISTAKE,
            )
        letters = [(key, one) for key, one in log.dead_letter(id) if sync in {None, key}]
        wanted += [(key, Ask.REPLAY, one.id) for key, one in _known(id, letters)]
    return wanted


def _list(root: Path, sync: str | None, form: str) -> None:
    loaded = load_or_exit(root)
    if sync is not None:
        sync_or_exit(loaded, sync)
    with environment_failures():
        for key, letter in _deliveries(loaded, sync):
            line = letter_text(key, letter)
            click.echo(json_line(letter_facts(key, letter)) if form == "json" else line)
        if sync is not None:
            return
        for event in event_letters(loaded.root):
            click.echo(json_line(event.facts()) if form == "json" else _event_text(event))


def _deliveries(loaded: LoadedProject, sync: str | None) -> Iterator[tuple[str, DeadLetter]]:
    try:
        reader = open_reader(loaded)
    except StoreMissing:  # nothing is recorded; events may have been put aside all the same
        return
    with closing(reader):
        log = reader.deliveries
        for key in log.dead_letter_counts():
            after = None
            while sync in {None, key} and (page := log.dead_letters(key, after, PAGE)):
                yield from ((key, one) for one in page)
                after = page[-1].who


def _of(loaded: LoadedProject, id: str) -> list[tuple[str, DeadLetter]]:
    with closing(open_reader(loaded)) as reader:
        return reader.deliveries.dead_letter(id)


def _known(id: str, found: list[_X]) -> list[_X]:
    if not found:
        fail(f"no dead letter has the id '{id}'; usher dead-letters lists them", MISTAKE)
    return found


def _show_event(one: EventLetter, form: str) -> None:
    if form == "json":
        click.echo(json_line({**one.facts(), "excerpt": one.excerpt}))
    else:
        click.echo("\n".join([_event_text(one), *exchange_text(one.excerpt, "", 0)]))


def _event_text(one: EventLetter) -> str:
    return f"{one.received_at}  {one.id}  {visible(one.file)}:{one.line}  {visible(one.reason)}"
