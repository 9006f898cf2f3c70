"""How far a lane has come along something that it reads in order: the journal, or the members."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from delivery.queues import Item, Place

_Mark = TypeVar("_Mark")

_SETTLED = {Place.GIVEN_UP, Place.DONE}


class Passage(Generic[_Mark]):
    """Marks are positions or user ids, in order; `read` is the one up to which was read."""

    def __init__(self, mark: _Mark) -> None:
        self.read = mark
        self._open: deque[tuple[_Mark, Item]] = deque()

    def __len__(self) -> int:
        """How many items are held because of the first one that is not settled."""
        self._pass()
        return len(self._open)

    def add(self, before: _Mark, item: Item) -> None:
        """Take an item; `before` is the mark of what comes before it."""
        self._open.append((before, item))

    @property
    def passed(self) -> _Mark:
        """All up to here is accepted, or is written down as soon as this is."""
        self._pass()
        return self._open[0][0] if self._open else self.read

    def _pass(self) -> None:
        while self._open:
            _, item = self._open[0]
            if not item.is_parked and item.place not in _SETTLED:
                return
            self._open.popleft()
