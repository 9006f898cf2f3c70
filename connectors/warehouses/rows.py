"""The rows of a warehouse on their way: counted, limited, and stopped when it takes too long.

Whatever reads them further is told of a failure by its own means, so the failure is kept here,
in the words that people should see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.limits import Limits
from connectors.warehouses.warehouse import Warehouse

_INSISTING = 0.2  # seconds


class Rows:
    """One reading of one source.

    `reader` is a `pyarrow.RecordBatchReader` that can be gone through once; `nulls` has the number
    of missing values by column, of the batches that went by; `failure` is why it ended early.
    """

    def __init__(self, warehouse: Warehouse, limits: Limits, read: Callable[[], Any]) -> None:
        self.failure: WarehouseError | None = None
        self.nulls: dict[str, int] = {}
        self._over = threading.Event()
        self._warehouse = warehouse
        self._limits = limits
        self._timer = threading.Timer(limits.timeout / 1e6, self._end, [limits.too_long])
        self._timer.daemon = True
        self._timer.start()
        try:
            self._batches = read()
        except BaseException as error:
            self._finish()
            warehouse.close()
            if self.failure is not None:
                raise self.failure from None
            if isinstance(error, Exception):
                raise self._told(error) from None
            raise
        self.nulls = dict.fromkeys(self._batches.schema.names, 0)
        self.reader = pa.RecordBatchReader.from_batches(self._batches.schema, self._counted())

    def cancel(self) -> None:
        """End the reading, from any thread."""
        self._end("it was cancelled")

    def close(self) -> None:
        """Let go of the warehouse, whether or not all was read."""
        self._finish()
        with suppress(Exception):
            self._batches.close()
        self._warehouse.close()

    def _end(self, reason: str) -> None:
        self.failure = self.failure or WarehouseError(reason)
        threading.Thread(target=self._insist, daemon=True).start()

    def _insist(self) -> None:
        """Cancel until it is over: what comes before a statement has begun may be lost."""
        while not self._over.is_set():
            self._warehouse.cancel()
            self._over.wait(_INSISTING)

    def _finish(self) -> None:
        self._timer.cancel()
        self._over.set()

    def _counted(self) -> Iterator[Any]:
        rows = size = 0
        batches = iter(self._batches)
        while (batch := self._next(batches)) is not None:
            rows += batch.num_rows
            size += batch.nbytes
            exceeded = self._limits.exceeded(rows, size)
            if exceeded:
                self._end(exceeded)
            if self.failure is not None:
                raise self.failure
            for name, column in zip(self.nulls, batch.columns, strict=True):
                self.nulls[name] += column.null_count
            yield batch
        self._finish()

    def _next(self, batches: Iterator[Any]) -> Any:
        try:
            return next(batches, None)
        except Exception as error:  # noqa: BLE001 - each client has its own family of exceptions
            self.failure = self.failure or self._told(error)
            raise self.failure from None

    def _told(self, error: Exception) -> WarehouseError:
        return error if isinstance(error, WarehouseError) else self._warehouse.explain(error)
