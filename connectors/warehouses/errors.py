"""What goes wrong with a warehouse, told to the person who can mend it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

import duckdb


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


class Secrets:
    """Texts that no message may contain, in whatever spelling a client gives them back."""

    def __init__(self, *secrets: object) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            if secret:
                text = str(secret)
                spellings |= {text, quote(text, safe=""), quote_plus(text), repr(text)[1:-1]}
                spellings |= {json.dumps(text)[1:-1], text.replace("\\", "\\\\")}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def hide(self, text: str) -> str:
        for spelling in self._spellings:
            text = text.replace(spelling, "***")
        return text


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
    line = " ".join(secrets.hide(str(error)).split())
    shown = line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
    return WarehouseError(f"{where}: {shown or type(error).__name__}")


_SHOWN = 500


def first_sentence(error: Exception) -> str:
    """DuckDB's message without the quoted statement, which is ours and not the reader's."""
    text = str(error).partition("\nLINE ")[0].partition("\n\n")[0]
    return " ".join(text.split()) or type(error).__name__
