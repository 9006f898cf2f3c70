"""How a verb ends when it cannot go on: one sentence on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from connectors.sources.errors import SourceError
from warehouse.errors import WarehouseError

MISTAKE = 2
ENVIRONMENT = 3


def fail(message: str, code: int) -> NoReturn:
    click.echo(f"usher: {message}", err=True)
    sys.exit(code)


@contextmanager
def environment_failures() -> Iterator[None]:
    """Turn what the world around us does wrong into a sentence and exit code 3."""
    try:
        yield
    except (SourceError, WarehouseError, OSError) as error:
        fail(str(error), ENVIRONMENT)
