"""The rows of a model, as something to select from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Self

import duckdb

from connectors.warehouses.errors import WarehouseError, explained
from connectors.warehouses.rows import Rows


@dataclass(frozen=True)
class Relation:
    """`sql` stands after FROM on `connection`, once; `name` is what to call it in messages.

    A context manager: leaving it closes the connection, and that to the warehouse.
    """

    connection: duckdb.DuckDBPyConnection
    sql: str
    name: str
    rows: Rows

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """DuckDB's type of each column, by name, in order.

        Raises:
            WarehouseError: it cannot be read.
        """
        with self.reading():
            rows = self.connection.execute(f"DESCRIBE SELECT * FROM {self.sql}").fetchall()
        return {name: type_name for name, type_name, *_ in rows}

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Tell what goes wrong while rows are selected, in the warehouse's own words."""
        try:
            with explained(self.name):
                yield
        except (WarehouseError, RuntimeError):
            if self.rows.failure is not None:
                raise WarehouseError(f"{self.name}: {self.rows.failure}") from None
            raise

    def cancel(self) -> None:
        """End what is being selected, from any thread."""
        self.rows.cancel()
        self.connection.interrupt()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.rows.close()
        self.connection.close()
