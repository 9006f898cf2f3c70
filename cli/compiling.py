"""The very first start compiles the core, which takes a while; the user is told."""

from __future__ import annotations

import click

from engine.compiled import CACHE_FOLDER, already_compiled


def announce_compilation() -> None:
    if not already_compiled():
        click.echo(
            f"usher: compiling the core, once on this machine (kept in {CACHE_FOLDER}) …", err=True
        )
