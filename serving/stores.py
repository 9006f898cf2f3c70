"""A connection to the store for some of the questions that are asked, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from membership.errors import PositionUnusable, StoreError, StoreMissing, StoreUnavailable
from membership.reader import MembershipReader

_X = TypeVar("_X")

# Seconds for which nobody else tries to connect in vain.
_FAILED = 0.5

# Seconds within which a connection that was lost while nobody asked is noticed.
_LOST = 1.0

# Seconds for which the end waits for an answer: what is asked then ends with the process.
_PATIENCE = 0.5


class Store:
    """To be closed when it is done with; its methods may be called from any thread."""

    def __init__(self, open_: Callable[[], MembershipReader]) -> None:
        self._open = open_
        self._reader: MembershipReader | None = None
        self._failure: StoreError | None = None
        self._failed_at = 0.0
        self._lock = threading.Lock()
        self._turn = CapacityLimiter(1)

    def read(self, ask: Callable[[MembershipReader], _X]) -> _X:
        """Ask the store; a connection that has failed is made anew.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            if self._reader is not None:
                began = time.monotonic()
                try:
                    return self._answer(self._reader, ask)
                except PositionUnusable:
                    raise
                except StoreError:
                    if time.monotonic() - began > _LOST:
                        raise
            self._reader = self._connected()
            return self._answer(self._reader, ask)

    async def asked(self, ask: Callable[[MembershipReader], _X]) -> _X:
        """The same on an event loop: who waits for a turn takes up no thread.

        Raises:
            StoreError: it cannot be read.
        """
        return await to_thread.run_sync(self.read, ask, limiter=self._turn)

    def close(self) -> None:
        if not self._lock.acquire(timeout=_PATIENCE):
            return
        try:
            self._leave()
        finally:
            self._lock.release()

    def _connected(self) -> MembershipReader:
        """A new connection; who has waited for an attempt that failed makes none of its own."""
        if self._failure is not None and time.monotonic() - self._failed_at < _FAILED:
            raise StoreUnavailable(str(self._failure)) from self._failure
        self._failure = None
        try:
            return self._open()
        except StoreMissing:  # which is found out at once, and may be over at once
            raise
        except StoreError as error:
            self._failure, self._failed_at = error, time.monotonic()
            raise

    def _answer(self, reader: MembershipReader, ask: Callable[[MembershipReader], _X]) -> _X:
        try:
            return ask(reader)
        except PositionUnusable:
            raise
        except StoreError:
            self._leave()
            raise

    def _leave(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
