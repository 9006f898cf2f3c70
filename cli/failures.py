"""How a verb ends when it cannot go on: one sentence on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from audience_dsl import Diagnostic, Severity
from connectors.sentences import Alarm, Trouble
from connectors.sources.errors import SourceError
from dataflows.log_lines import log_line, logs_json
from dataflows.refusal import JobRefused
from membership.errors import StoreError
from warehouse.errors import WarehouseError

MISTAKE = 2
ENVIRONMENT = 3

# What the world around us does wrong.
FAILURES = (SourceError, WarehouseError, StoreError, JobRefused, OSError)


def fail(message: str, code: int) -> NoReturn:
    click.echo(log_line(Alarm(message)), err=True, nl=False)
    sys.exit(code)


def show_mistakes(diagnostics: Iterable[Diagnostic]) -> None:
    """On standard error: for people with the lines that they are in, for programs one a line."""
    for one in diagnostics:
        if logs_json():
            kind = Trouble if one.severity is Severity.WARNING else Alarm
            click.echo(log_line(kind(one.to_sentence())), err=True, nl=False)
        else:
            click.echo(one.to_text() + "\n", err=True)


@contextmanager
def environment_failures() -> Iterator[None]:
    """Turn what the world around us does wrong into a sentence and exit code 3."""
    try:
        yield
    except FAILURES as error:
        fail(sentence_of(error), ENVIRONMENT)


def sentence_of(error: Exception) -> str:
    """What is to be said of one of these; without the operating system's number for it."""
    if not isinstance(error, OSError):
        return str(error)
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason
