"""A warehouse that is reached by its vendor's client: what all of these have in common.

An adapter says how its client connects, reads and cancels, whatever that may raise.  Here it
becomes a `connectors.warehouses.warehouse.Warehouse`: errors are told in one line without secrets
and without values of rows, and what is no use any more is let go of without a word.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from audience_dsl.definitions import ModelSource
from connectors.discretion import Secrets, one_line
from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.unquoted import is_of_rows, unquoted


class Remote(ABC):
    """See `connectors.warehouses.warehouse.Warehouse`.

    Args:
        where: What to call the system in messages.
        secrets: What no message may contain.
    """

    def __init__(self, where: str, *secrets: object) -> None:
        self._where = where
        self._secrets = Secrets(*secrets)
        self._connection: Any = None
        self._cursor: Any = None

    @abstractmethod
    def version(self) -> str:
        """Ask for the least; the system's name and version."""

    @abstractmethod
    def select(self, source: ModelSource, *, rows: bool) -> Any:
        """Connect, and begin to read: a `pyarrow.RecordBatchReader`."""

    @abstractmethod
    def interrupt(self) -> None:
        """End what is being read."""

    def test(self) -> str:
        with self._discreet():
            try:
                return self.version()
            finally:
                self.close()

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        with self._discreet():
            return self.select(source, rows=rows)

    def explain(self, error: Exception) -> WarehouseError:
        said = unquoted(str(error)) if self.is_of_rows(error) else str(error)
        line = one_line(self._secrets.hide(said))
        return WarehouseError(f"{self._where}: {line or type(error).__name__}")

    def is_of_rows(self, error: Exception) -> bool:
        """Whether it may quote what rows have."""
        return is_of_rows(error)

    def cancel(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self.interrupt()

    def close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
        self._connection = self._cursor = None

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """The client's own exception is not chained, since a traceback would print it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - each client has its own family of exceptions
            raise self.explain(error) from None
