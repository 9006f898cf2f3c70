"""`usher user`: which audiences a user is in, since when."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from cli.failures import MISTAKE, environment_failures, fail
from cli.memberships import print_membership
from cli.validate import load_or_exit
from project.columns import Remembered
from project.stores import open_reader


@click.command()
@click.argument("user_id", metavar="ID")
@click.option("--parent-model", metavar="KEY", help="Only as a row of this parent model.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_obj
def user(root: Path, user_id: str, parent_model: str | None, form: str) -> None:
    """Print the audiences that the user ID is in.

    Who is in none, or was never heard of, has no line.

    \b
    Example:
      usher user u000008
      usher user u000008 --format json
    """
    loaded = load_or_exit(root, Remembered.FIRST)
    if parent_model is not None and parent_model not in loaded.project.parent_models:
        known = ", ".join(sorted(loaded.project.parent_models))
        fail(f"unknown parent model '{parent_model}'; the project has {known}", MISTAKE)
    with environment_failures(), closing(open_reader(loaded)) as reader:
        for membership in reader.memberships(user_id, parent_model):
            print_membership(membership, form, membership.audience)
