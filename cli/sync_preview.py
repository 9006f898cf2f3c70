"""`usher sync preview`: exactly what a sync would send for one user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, cast

import click

from audience_dsl.definitions import Sync
from cli.deliveries import sync_or_exit
from cli.failures import ENVIRONMENT, environment_failures, fail
from cli.sync_samples import entries_of, messages_of, reader_of
from cli.validate import load_or_exit
from connectors.destinations.destination import Message
from connectors.destinations.http.presets import presets
from dataflows.destinations import opener_of
from dataflows.lines import visible
from delivery.entries import Unsendable
from delivery.samples import first_member
from membership.facts import JournalEntry
from membership.reader import MembershipReader
from project.folder import LoadedProject
from warehouse.snapshot import current


@click.command()
@click.argument("name")
@click.option("--user", "user_id", metavar="ID", help="This user; a member by default.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def preview(root: Path, name: str, user_id: str | None, form: str) -> None:
    """Print what the sync NAME sends for one user, and send nothing.

    For destinations that speak HTTP it is the request, without secrets; else the message.

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
        for entry, message in zip(entries, messages_of(loaded, sync, entries), strict=True):
            if entry.record.type in sync.on:
                _show(loaded, sync, entry, message, form)


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


def _show(
    loaded: LoadedProject,
    sync: Sync,
    entry: JournalEntry,
    message: Message | Unsendable | None,
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
            request = _request(loaded, sync, message)
            facts |= {"request": request} if request is not None else {}
    if form == "json":
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    click.echo(f"{record.type}, user {record.user_id!r}, to destination '{sync.destination}'")
    for kind in ("withheld", "unsendable"):
        if kind in facts:
            click.echo(f"  {kind}: {facts[kind]}")
    if "request" in facts:
        click.echo("\n".join(visible(line) for line in str(facts["request"]).splitlines()))
    elif "body" in facts:
        click.echo(json.dumps(facts["body"], ensure_ascii=False, indent=2))


class _Describes(Protocol):
    """A destination that can say what it would send."""

    def describe(self, messages: Sequence[Message]) -> str: ...


def _request(loaded: LoadedProject, sync: Sync, message: Message) -> str | None:
    """What a destination that speaks HTTP would send; others are not opened for it."""
    if loaded.project.destinations[sync.destination].type not in {"webhook", "http", *presets()}:
        return None

    async def described() -> str:
        destination = opener_of(loaded)(sync)
        try:
            return cast(_Describes, destination).describe([message])
        finally:
            await destination.close()

    return asyncio.run(described())
