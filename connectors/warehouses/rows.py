"""The rows of a warehouse on their way: counted, limited, and stopped when it takes too long.

Whatever reads them further is told of a failure by its own means, so the failure is kept here,
in the words that people should see.

A client is only ever waited for by way of a thread of its own.  A server that has stopped answering
answers no cancellation either, and a client that waits for it cannot be woken: it is left behind.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from connectors.warehouses.errors import WarehouseError
from connectors.warehouses.limits import Limits
from connectors.warehouses.warehouse import Warehouse

# Seconds between cancellations, and until a client is left behind that has not taken them.
_INSISTING = 0.2
_PATIENCE = 10.0


class Rows:
    """One reading of one source.

    `reader` is a `pyarrow.RecordBatchReader` that can be gone through once; `nulls` has the number
    of missing values by column, of the batches that went by; `failure` is why it ended early.
    """

    def __init__(self, warehouse: Warehouse, limits: Limits, read: Callable[[], Any]) -> None:
        self.failure: WarehouseError | None = None
        self.nulls: dict[str, int] = {}
        self._over = threading.Event()
        self._outcome: Future[Any] = Future()
        self._is_busy = False
        self._warehouse = warehouse
        self._limits = limits
        self._patience: threading.Timer | None = None
        self._timer = _timer(limits.timeout / 1e6, self._end, limits.too_long)
        try:
            self._batches = self._awaited(read)
        except BaseException as error:
            self._let_go()
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
        if not self._is_busy:
            with suppress(Exception):
                self._batches.close()
        self._let_go()

    def _let_go(self) -> None:
        self._finish()
        if not self._is_busy:
            self._warehouse.close()

    def _end(self, reason: str) -> None:
        self.failure = self.failure or WarehouseError(reason)
        self._patience = self._patience or _timer(_PATIENCE, self._leave_behind)
        threading.Thread(target=self._insist, daemon=True).start()

    def _leave_behind(self) -> None:
        self._over.set()
        with suppress(InvalidStateError):  # nothing is awaited, or it has come just now
            self._outcome.set_exception(self.failure)

    def _awaited(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, unless the client is left behind with it."""
        if self.failure is not None:
            raise self.failure
        outcome = self._outcome = Future[Any]()
        self._is_busy = True

        def run() -> None:
            try:
                given = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                deliver = partial(outcome.set_exception, error)
            else:
                deliver = partial(outcome.set_result, given)
            self._is_busy = False
            try:
                deliver()
            except InvalidStateError:  # nobody waits any more
                self._warehouse.close()

        threading.Thread(target=run, name="usher-warehouse", daemon=True).start()
        return outcome.result()

    def _insist(self) -> None:
        """Cancel until it is over: what comes before a statement has begun may be lost."""
        while not self._over.is_set():
            self._warehouse.cancel()
            self._over.wait(_INSISTING)

    def _finish(self) -> None:
        for timer in (self._timer, self._patience):
            if timer is not None:
                timer.cancel()
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
            return self._awaited(lambda: next(batches, None))
        except Exception as error:  # noqa: BLE001 - each client has its own family of exceptions
            self.failure = self.failure or self._told(error)
            raise self.failure from None

    def _told(self, error: Exception) -> WarehouseError:
        return error if isinstance(error, WarehouseError) else self._warehouse.explain(error)


def _timer(seconds: float, work: Callable[..., None], *arguments: object) -> threading.Timer:
    timer = threading.Timer(seconds, work, arguments)
    timer.daemon = True
    timer.start()
    return timer
