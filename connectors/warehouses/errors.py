"""What goes wrong with a warehouse, told to the person who can mend it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from connectors.warehouses.unquoted import unquoted_by_duckdb


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


def first_sentence(error: Exception) -> str:
    """DuckDB's message without the quoted statement, which is ours, and without values of rows."""
    text = str(error).partition("\nLINE ")[0].partition("\n\n")[0]
    return " ".join(unquoted_by_duckdb(text).split()) or type(error).__name__
