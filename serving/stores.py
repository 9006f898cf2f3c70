"""A connection to the store for some of the questions that are asked, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from membership.errors import PositionUnusable, StoreError
from membership.reader import MembershipReader

_X = TypeVar("_X")


class Store:
    """To be closed when it is done with; its methods may be called from any thread."""

    def __init__(self, open_: Callable[[], MembershipReader]) -> None:
        self._open = open_
        self._reader: MembershipReader | None = None
        self._lock = threading.Lock()

    def read(self, ask: Callable[[MembershipReader], _X]) -> _X:
        """Ask the store; a connection that has failed is made anew the next time.

        Raises:
            StoreError: it cannot be read.
        """
        with self._lock:
            if self._reader is None:
                self._reader = self._open()
            try:
                return ask(self._reader)
            except PositionUnusable:
                raise
            except StoreError:
                self._reader.close()
                self._reader = None
                raise

    def close(self) -> None:
        with self._lock:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
