"""`usher members`: who is in an audience, since when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from cli.failures import MISTAKE, environment_failures, fail
from cli.memberships import print_membership
from cli.validate import load_or_exit
from membership.facts import Membership
from membership.reader import PAGE, MembershipReader
from project.columns import Remembered
from project.stores import open_reader


@click.command()
@click.argument("audience")
@click.option("--limit", type=click.IntRange(1), help="Print at most so many.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def members(root: Path, audience: str, limit: int | None, form: str) -> None:
    """Print the members of an AUDIENCE, ordered by user id.

    They are those that the job has recorded; it may be running meanwhile.

    \b
    Example:
      usher members high_intent_pricing --limit 10
      usher members high_intent_pricing --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    definition = loaded.project.audiences.get(audience)
    if definition is None:
        known = ", ".join(sorted(loaded.project.audiences))
        fail(f"unknown audience '{audience}'; the project has {known}", MISTAKE)
    with environment_failures(), closing(open_reader(loaded)) as reader:
        for member in _members(reader, definition.parent_model, audience, limit):
            print_membership(member, form, member.user_id)


def _members(
    reader: MembershipReader, parent_model: str, audience: str, limit: int | None
) -> Iterator[Membership]:
    after: str | None = None
    while limit is None or limit > 0:
        wanted = PAGE if limit is None else min(PAGE, limit)
        page = reader.members(parent_model, audience, after, wanted)
        yield from page
        if len(page) < wanted:
            return
        after = page[-1].user_id
        limit = None if limit is None else limit - wanted
