"""How a verb ends when it cannot go on: one sentence on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from connectors.sources.errors import SourceError
from dataflows.preparation import JobRefused
from membership.errors import StoreError
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
    except (SourceError, WarehouseError, StoreError, JobRefused) as error:
        fail(str(error), ENVIRONMENT)
    except OSError as error:
        fail(_sentence(error), ENVIRONMENT)


def _sentence(error: OSError) -> str:
    """What the operating system says, without its number for it."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
