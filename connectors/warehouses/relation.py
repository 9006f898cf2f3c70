"""The rows of a parent model, as something to select from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Self

import duckdb

from connectors.warehouses.errors import explained


@dataclass(frozen=True)
class Relation:
    """`sql` stands after FROM on `connection`; `name` is what to call it in messages.

    A context manager: leaving it closes the connection.
    """

    connection: duckdb.DuckDBPyConnection
    sql: str
    name: str

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """DuckDB's type of each column, by name, in order.

        Raises:
            WarehouseError: it cannot be read.
        """
        with explained(self.name):
            rows = self.connection.execute(f"DESCRIBE SELECT * FROM {self.sql}").fetchall()
        return {name: type_name for name, type_name, *_ in rows}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.close()
