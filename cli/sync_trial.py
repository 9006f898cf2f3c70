"""`usher sync test`: one marked sample, through the destination as it is."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from audience_dsl.definitions import Sync
from cli.deliveries import sync_or_exit
from cli.delivery_lines import exchange_text, json_line
from cli.failures import ENVIRONMENT, environment_failures, fail
from cli.sync_samples import entries_of, messages_of, reader_of
from cli.validate import load_or_exit
from connectors.destinations.destination import (
    Answer,
    Destination,
    Exchange,
    Message,
    Outcome,
    Verdict,
)
from dataflows.destinations import opener_of
from dataflows.lines import visible
from delivery.entries import Unsendable
from engine.records import ENTERED, EXITED
from project.folder import LoadedProject

# In front of the ids of samples; those of transitions never look so.
_MARK = "test-"
_NOBODY = "test-user"

# Seconds that a destination has for an answer, and then for letting go.
_PATIENCE = 60.0
_CLOSING = 5.0


@click.command("test")
@click.argument("name")
@click.option("--user", "user_id", metavar="ID", help=f"This user; '{_NOBODY}' by default.")
@click.option(
    "--type",
    "kind",
    type=click.Choice([ENTERED, EXITED]),
    help="What the sample says; entered by default, if the sync sends that.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def trial(root: Path, name: str, user_id: str | None, kind: str | None, form: str) -> None:
    """Send one sample through the destination of the sync NAME, and print what came back.

    The sample is marked: its id begins with `test-`, and a transition record has `"test": true`. In
    what a mapping makes there is no room for that; the id it has as well. `only_if` is not asked.
    The sample is sent once, beside a running job, and remembered nowhere. A destination that
    mirrors members keeps the user until a sample with --type exited.

    Exits with 0 if the destination has accepted it, else with 3.

    \b
    Example:
      usher sync test pricing_to_crm
      usher sync test pricing_to_crm --user u000008 --type exited
    """
    loaded = load_or_exit(root)
    sync = sync_or_exit(loaded, name)
    with environment_failures():
        message = _sample(loaded, sync, user_id or _NOBODY, kind or _first_kind(sync))
        opened = opener_of(loaded)
        answer = asyncio.run(_sent(lambda: opened(sync), message))
    (outcome,) = answer.outcomes
    _print(sync, message, outcome, answer.exchange, form)
    sys.exit(0 if outcome.verdict is Verdict.ACCEPTED else ENVIRONMENT)


def _first_kind(sync: Sync) -> str:
    return ENTERED if ENTERED in sync.on else EXITED


def _sample(loaded: LoadedProject, sync: Sync, user_id: str, kind: str) -> Message:
    everybody = replace(sync, only_if=None, on=(ENTERED, EXITED))
    with ExitStack() as held:
        both = entries_of(loaded, sync, reader_of(loaded, held), user_id)
    (entry,) = [one for one in both if one.record.type == kind]
    marked = msgspec.structs.replace(entry.record, id=f"{_MARK}{secrets.token_hex(8)}")
    (message,) = messages_of(loaded, everybody, [entry._replace(record=marked)])
    if isinstance(message, Unsendable):
        fail(message.reason, ENVIRONMENT)
    assert message is not None, "nothing is withheld where only_if is not asked"
    return replace(message, record={**message.record, "test": True})


async def _sent(opened: Callable[[], Destination], message: Message) -> Answer:
    destination = opened()
    try:
        return await asyncio.wait_for(destination.send([message]), _PATIENCE)
    except TimeoutError:
        reason = f"no answer within {_PATIENCE:.0f} s"
        return Answer([Outcome(Verdict.RETRY, reason)], Exchange(""))
    finally:
        try:
            await asyncio.wait_for(destination.close(), _CLOSING)
        except TimeoutError:
            click.echo("usher: the destination does not let go", err=True)


def _print(sync: Sync, message: Message, outcome: Outcome, exchange: Exchange, form: str) -> None:
    if form == "json":
        facts = {
            "sync": sync.key,
            "destination": sync.destination,
            "id": message.id,
            "user_id": message.user_id,
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "status": exchange.status or None,
            "request": exchange.request,
            "response": exchange.response,
        }
        click.echo(json_line(facts))
        return
    reason = f": {visible(outcome.reason)}" if outcome.reason else ""
    click.echo(f"{message.id} to destination '{sync.destination}'")
    for line in exchange_text(exchange.request, exchange.response, exchange.status):
        click.echo(line)
    click.echo(f"{outcome.verdict}{reason}")
