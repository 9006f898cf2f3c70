"""Rows that DuckDB reads itself, from its own file or from others: the local warehouses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from audience_dsl.definitions import ModelSource
from audience_dsl.sql import quoted_name, quoted_text
from connectors.warehouses.errors import WarehouseError, explained, first_sentence

_BATCH = 122_880  # rows: one of DuckDB's own row groups


@dataclass(frozen=True, slots=True)
class Selection:
    """`sql` stands after FROM on `connection`, which sees nothing else; `name` is for messages."""

    connection: duckdb.DuckDBPyConnection
    sql: str
    name: str

    def columns(self) -> Mapping[str, str]:
        """DuckDB's type of each column, by name, in order."""
        with explained(self.name):
            rows = self.connection.execute(f"DESCRIBE SELECT * FROM {self.sql}").fetchall()
        return {name: type_name for name, type_name, *_ in rows}

    def batches(self, *, rows: bool) -> Any:
        """A `pyarrow.RecordBatchReader`."""
        limit = "" if rows else " LIMIT 0"
        statement = f"SELECT * FROM {self.sql}{limit}"
        return self.connection.sql(statement).to_arrow_reader(_BATCH)


def _restricted(selection: Selection, source: ModelSource) -> Selection:
    if source.since is None:
        return selection
    column, day = quoted_name(source.since[0]), quoted_text(source.since[1])
    sql = f"(SELECT * FROM {selection.sql} WHERE {column} >= {day} OR {column} IS NULL)"
    return replace(selection, sql=sql)


class Local:
    """A warehouse on this machine; `open_` makes the selection of a source."""

    def __init__(self, open_: Callable[[ModelSource], Selection]) -> None:
        self._open = open_
        self._selection: Selection | None = None

    def test(self) -> str:
        return f"DuckDB {duckdb.__version__}"

    def read(self, source: ModelSource, *, rows: bool) -> Any:
        self.close()
        self._selection = _restricted(self._open(source), source)
        with explained(self._selection.name):
            return self._selection.batches(rows=rows)

    def explain(self, error: Exception) -> WarehouseError:
        return WarehouseError(first_sentence(error))

    def cancel(self) -> None:
        if self._selection is not None:
            self._selection.connection.interrupt()

    def close(self) -> None:
        if self._selection is not None:
            self._selection.connection.close()
            self._selection = None
