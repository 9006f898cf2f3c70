"""What goes wrong with a warehouse, told to the person who can mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from connectors.discretion import Secrets, one_line


class WarehouseError(Exception):
    """The message says what is wrong, where, and what to do about it."""


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn DuckDB's errors into `WarehouseError`, and tell where either arose."""
    try:
        yield
    except WarehouseError as error:
        raise WarehouseError(f"{where}: {error}") from error
    except duckdb.PermissionException as error:
        raise WarehouseError(
            f"{where}: {first_sentence(error)}; only files below the project folder can be read"
        ) from error
    except duckdb.Error as error:
        raise WarehouseError(f"{where}: {first_sentence(error)}") from error


@contextmanager
def discreet(where: str, secrets: Secrets) -> Iterator[None]:
    """Turn whatever a client raises into a `WarehouseError` of one line, without secrets.

    The client's own exception is not chained, since a traceback would print it.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - each client has its own family of exceptions
        raise told(error, where, secrets) from None


def told(error: Exception, where: str, secrets: Secrets) -> WarehouseError:
    """What a client has raised, as `discreet` raises it."""
    line = one_line(secrets.hide(str(error)))
    return WarehouseError(f"{where}: {line or type(error).__name__}")


def first_sentence(error: Exception) -> str:
    """DuckDB's message without the quoted statement, which is ours and not the reader's."""
    text = str(error).partition("\nLINE ")[0].partition("\n\n")[0]
    return " ".join(text.split()) or type(error).__name__
