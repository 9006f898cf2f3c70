"""What every warehouse can do, whatever its client is called."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from audience_dsl.definitions import ModelSource, Settings
from connectors.warehouses.errors import WarehouseError


class Warehouse(Protocol):
    """A connection to one warehouse; it only ever reads.

    All methods raise `WarehouseError`, whose message has no secret in it.
    """

    def test(self) -> str:
        """Connect and ask for the least; the system's name and version."""
        ...

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        """A `pyarrow.RecordBatchReader` over a table's or a query's typed columns.

        Nothing is held in memory but some batches.  Without `rows` only the schema is asked for.
        Errors on the way through the batches are the client's own; see `explain`.
        """
        ...

    def explain(self, error: Exception) -> WarehouseError:
        """What an error that was met while reading batches means."""
        ...

    def cancel(self) -> None:
        """End what is being read, from any thread; that read then fails."""
        ...

    def close(self) -> None:
        """Give the connection back; nothing can be read afterwards."""
        ...


def client(module: str, extra: str) -> Any:
    """Import a warehouse's client, which is installed only where somebody asked for it.

    Raises:
        WarehouseError: it is not installed; the message has the command.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise WarehouseError(
            f"warehouse type {extra!r} needs a client that is not installed; "
            f"run: pip install 'usher[{extra}]'"
        ) from error


def option(settings: Settings, name: str, default: Any = None) -> Any:
    """One connection setting."""
    value = settings.options.get(name)
    return default if value is None else value
