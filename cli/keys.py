"""`usher keys`: who may ask the HTTP server for what."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
import msgspec

from audience_dsl.durations import read_duration
from audience_dsl.instants import LATEST, format_instant, read_instant
from cli.failures import MISTAKE, environment_failures, fail
from cli.validate import load_or_exit
from connectors.wall_clock import wall_clock
from dataflows.lines import visible
from membership.errors import StoreMissing
from membership.keys import ApiKey
from project.columns import Remembered
from project.stores import open_reader, open_store
from serving.scopes import Scope
from serving.tokens import new_token

_form = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)


class _Expiry(click.ParamType[int]):
    """An instant, or a duration from now on."""

    name = "instant|duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        now, text = wall_clock(), str(value)
        duration = read_duration(text)
        instant = read_instant(text) if duration is None else now + duration
        if instant is None or instant <= now:
            self.fail(f"{text!r} is not later than now; write it as 90d or 2027-01-31", param, ctx)
        if instant > LATEST:
            self.fail(
                f"{text!r} is beyond the year 9999; leave it out for a key that stays", param, ctx
            )
        return instant


@click.group()
def keys() -> None:
    """Make, list and revoke the keys of the HTTP server.

    \b
    Example:
      usher keys create --scope audiences:read --expires 90d --name "the web shop"
      usher keys list
      usher keys revoke a1b2c3d4
    """


@keys.command()
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([str(scope) for scope in Scope]),
    multiple=True,
    required=True,
    help="What the key allows; may be given several times.",
)
@click.option(
    "--audience",
    "audiences",
    metavar="AUDIENCE",
    multiple=True,
    help="Of audiences only these; may be given several times.  [default: all]",
)
@click.option("--expires", "expires_at", type=_Expiry(), help="[default: never]")
@click.option("--name", default="", help="Whom it is for.")
@_form
@click.pass_obj
def create(
    root: Path,
    scopes: tuple[str, ...],
    audiences: tuple[str, ...],
    expires_at: int | None,
    name: str,
    form: str,
) -> None:
    """Make a key and print it, which nobody can do again: only its digest is stored.

    \b
    Example:
      usher keys create --scope warehouse:pull --expires 90d
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    for audience in audiences:
        if audience not in loaded.project.audiences:
            known = ", ".join(sorted(loaded.project.audiences))
            fail(f"unknown audience '{audience}'; the project has {known}", MISTAKE)
    token = new_token()
    key = ApiKey(
        id=token.id,
        digest=token.digest,
        name=name,
        scopes=tuple(sorted(set(scopes))),
        audiences=tuple(sorted(set(audiences))) or None,
        created_at=wall_clock(),
        expires_at=expires_at,
    )
    with environment_failures(), closing(open_store(loaded)) as store:
        store.keys.add(key)
    if form == "json":
        click.echo(msgspec.json.encode({"key": token.text, **_facts(key)}))
    else:
        click.echo(token.text)
        click.echo(f"usher: {_line(key)}; the key is shown this once", err=True)


@keys.command("list")
@_form
@click.pass_obj
def list_(root: Path, form: str) -> None:
    """Print every key that was ever made, but for the keys themselves.

    \b
    Example:
      usher keys list --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    with environment_failures():
        try:
            with closing(open_reader(loaded)) as reader:
                known = reader.keys()
        except StoreMissing:
            known = []
    for key in known:
        click.echo(msgspec.json.encode(_facts(key)) if form == "json" else _line(key))


@keys.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.pass_obj
def revoke(root: Path, ids: tuple[str, ...]) -> None:
    """End keys for good; a server refuses them within a second.

    \b
    Example:
      usher keys revoke a1b2c3d4
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    with environment_failures(), closing(open_store(loaded)) as store:
        unknown = [one for one in ids if not store.keys.revoke(one, wall_clock())]
    if unknown:
        fail(f"there is no key {', '.join(map(visible, unknown))}; see: usher keys list", MISTAKE)


def _facts(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "audiences": key.audiences,
        "created_at": format_instant(key.created_at),
        "expires_at": _instant(key.expires_at),
        "revoked_at": _instant(key.revoked_at),
    }


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _line(key: ApiKey) -> str:
    parts = [f"{key.id}  {', '.join(key.scopes)}"]
    if key.audiences is not None:
        parts.append(f"of {', '.join(map(visible, key.audiences))}")
    if key.name:
        parts.append(visible(key.name))
    parts.append(f"made {_day(key.created_at)}")
    if key.revoked_at is not None:
        parts.append(f"revoked {_day(key.revoked_at)}")
    elif key.expires_at is not None:
        word = "expires" if key.is_valid(wall_clock()) else "expired"
        parts.append(f"{word} {_day(key.expires_at)}")
    return "; ".join(parts)


def _day(instant: int) -> str:
    return format_instant(instant).partition("T")[0]
