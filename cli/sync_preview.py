"""`usher sync preview`: exactly what a sync would send for one user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from audience_dsl.definitions import Sync
from cli.deliveries import sync_or_exit
from cli.failures import ENVIRONMENT, environment_failures, fail
from cli.sync_samples import entries_of, messages_of, reader_of
from cli.validate import load_or_exit
from connectors.destinations.destination import Message
from connectors.destinations.errors import DestinationError
from dataflows.destinations import opener_of
from dataflows.lines import visible
from delivery.messages import Unsendable
from delivery.samples import first_member
from membership.facts import JournalEntry
from membership.reader import MembershipReader
from project.folder import LoadedProject
from warehouse.snapshot import current

Describe = Callable[[Sequence[Message]], str]


@click.command()
@click.argument("name")
@click.option("--user", "user_id", metavar="ID", help="This user; a member by default.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def preview(root: Path, name: str, user_id: str | None, form: str) -> None:
    """Print what the sync NAME sends for one user, and send nothing.

    Of a destination that speaks HTTP it is the whole request, but for secrets; of others the body.
    Transitions that were recorded of late are shown as they were; others are made up. The user's
    columns are those of the snapshot in force.

    \b
    Example:
      usher sync preview pricing_to_archive --user u000008
    """
    loaded = load_or_exit(root)
    sync = sync_or_exit(loaded, name)
    with environment_failures(), ExitStack() as held:
        reader = reader_of(loaded, held)
        chosen = user_id or _somebody(loaded, sync, reader)
        if chosen is None:
            parent = loaded.project.audiences[sync.audience].parent_model
            advice = f"name one with --user, or run: usher pull {parent}"
            fail(f"no user of {parent} is known yet; {advice}", ENVIRONMENT)
        entries = entries_of(loaded, sync, reader, chosen)
        messages = messages_of(loaded, sync, entries)
        describe = asyncio.run(_describer(loaded, sync))
    for entry, message in zip(entries, messages, strict=True):
        if entry.record.type in sync.on:
            _show(sync, entry, message, describe, form)


def _somebody(loaded: LoadedProject, sync: Sync, reader: MembershipReader | None) -> str | None:
    """A member; else anybody whom the warehouse knows."""
    audience = loaded.project.audiences[sync.audience]
    member = None if reader is None else first_member(reader, audience)
    if member is not None:
        return member
    snapshot = current(loaded.root, audience.parent_model)
    if snapshot is None or not snapshot.rows:
        return None
    return snapshot.snapshot.users.text(0)


async def _describer(loaded: LoadedProject, sync: Sync) -> Describe | None:
    """What makes whole requests of messages; `None` where the destination has no such thing."""
    try:
        destination = opener_of(loaded)(sync)
    except DestinationError as error:
        click.echo(f"usher: {error}; only the body is shown", err=True)
        return None
    await destination.close()
    describe: Describe | None = getattr(destination, "describe", None)
    return describe


def _show(
    sync: Sync,
    entry: JournalEntry,
    message: Message | Unsendable | None,
    describe: Describe | None,
    form: str,
) -> None:
    record = entry.record
    facts: dict[str, object] = {"sync": sync.key, "type": record.type, "user_id": record.user_id}
    match message:
        case None:
            facts["withheld"] = "only_if does not hold for the user"
        case Unsendable(reason=reason):
            facts["unsendable"] = reason
        case Message():
            facts |= {"id": message.id, "body": message.body}
            facts |= {} if describe is None else {"request": describe([message])}
    if form == "json":
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    click.echo(f"{record.type}, user {record.user_id!r}, to destination '{sync.destination}'")
    for kind in ("withheld", "unsendable"):
        if kind in facts:
            click.echo(f"  {kind}: {facts[kind]}")
    if "request" in facts:
        click.echo("\n".join(visible(line) for line in str(facts["request"]).splitlines()))
    elif isinstance(message, Message):
        click.echo(json.dumps(message.body, ensure_ascii=False, indent=2))
