"""`usher schema`: the JSON Schema of the definitions, for editors."""

from __future__ import annotations

import json

import click

from audience_dsl.json_schema import json_schema
from audience_dsl.reference import reference
from connectors.destinations.registry import OPTIONS


@click.command()
@click.option("--reference", "as_page", is_flag=True, help="Print the language reference instead.")
def schema(as_page: bool) -> None:
    """Print the JSON Schema of the definitions, from which editors complete and check.

    \b
    Example:
      usher schema > usher.schema.json
      # then, as the first line of each definition file:
      # yaml-language-server: $schema=usher.schema.json
    """
    if as_page:
        click.echo(reference(OPTIONS), nl=False)
    else:
        click.echo(json.dumps(json_schema(OPTIONS), indent=2))
