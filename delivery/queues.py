"""The messages of a lane, in a queue for each user: only the first of a user may be on its way.

A message that has failed waits, and its user's later ones wait with it; nobody else does.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from enum import Enum

from connectors.destinations.destination import Message
from membership.deliveries import Who


class Place(Enum):
    QUEUED = 1
    FLYING = 2
    GIVEN_UP = 3  # a dead letter that is not durable yet: until then its user waits
    DONE = 4


class Item:
    """A message on its way; `is_parked` if the store has it, or will, so that no cursor waits."""

    __slots__ = (
        "attempts", "due", "era", "first_attempt", "is_initial", "is_parked", "message", "ordinal",
        "place", "position", "reason", "who",
    )  # fmt: skip

    def __init__(self, message: Message, who: Who, position: int, *, is_initial: bool) -> None:
        self.message = message
        self.who = who
        self.position = position
        self.is_initial = is_initial
        self.is_parked = False
        self.place = Place.QUEUED
        self.attempts = 0
        self.first_attempt = 0
        self.due = 0
        self.era = -1  # of the gate, in which it last failed
        self.reason = ""
        self.ordinal = 0  # live ones come before initial ones, else in order


# Behind all that are live, which will never be so many.
_BEHIND = 1 << 62


class Queues:
    """Which message is next, by what is due.

    Two heaps hold the users' first messages: those that are due and those that will be.  What has
    changed its place since is passed over when it comes up.
    """

    def __init__(self) -> None:
        self._users: dict[str, deque[Item]] = {}
        self._ready: list[tuple[int, Item]] = []
        self._later: list[tuple[int, int, Item]] = []
        self._count = 0

    def __len__(self) -> int:
        """How many users have messages."""
        return len(self._users)

    def add(self, item: Item) -> None:
        """Behind its user's earlier ones; a message that is brought back, before the later ones."""
        self._count += 1
        item.ordinal = self._count + _BEHIND * item.is_initial
        queue = self._users.setdefault(item.who.user_id, deque())
        at = len(queue)
        while at and queue[at - 1].who > item.who and queue[at - 1].place is Place.QUEUED:
            at -= 1
        queue.insert(at, item)
        if at == 0:
            self._offer(item)

    def of(self, user_id: str) -> Iterator[Item]:
        """In their order."""
        return iter(self._users.get(user_id, ()))

    def take(self, now: int) -> Item | None:
        """The next that is due, on its way from now on."""
        self._promote(now)
        while self._ready:
            _, item = heapq.heappop(self._ready)
            if self._is_next(item, now):
                item.place = Place.FLYING
                return item
        return None

    def take_least_tried(self, now: int, initial_at: int) -> Item | None:
        """Of all that are due, one with the fewest attempts: to ask with it is fair to all.

        Those that are initial are due at `initial_at`, if that is later.
        """
        self._promote(now)
        # Each once: what was taken from here before, and has come back, is there a second time.
        due = {item.ordinal: item for _, item in self._ready if self._is_next(item, now)}
        if initial_at > now:
            for item in [one for one in due.values() if one.is_initial]:
                item.due = initial_at
                self._offer(due.pop(item.ordinal))
        least = min(due.values(), key=lambda one: (one.attempts, one.ordinal), default=None)
        if least is not None:
            least.place = Place.FLYING
            del due[least.ordinal]
        self._ready = sorted(due.items())
        return least

    def back(self, item: Item) -> None:
        """It is not accepted, and may go again when it is due."""
        item.place = Place.QUEUED
        self._offer(item)

    def remove(self, item: Item) -> None:
        """It is done."""
        item.place = Place.DONE
        queue = self._users[item.who.user_id]
        if queue[0] is not item:
            queue.remove(item)
            return
        queue.popleft()
        if queue:
            self._offer(queue[0])
        else:
            del self._users[item.who.user_id]

    def hurry(self) -> None:
        """All may go at once."""
        for _, _, item in self._later:
            item.due = 0
            heapq.heappush(self._ready, (item.ordinal, item))
        self._later.clear()

    def due(self, now: int) -> int | None:
        """When the next one is due; `None` if there is none that is not on its way."""
        self._promote(now)
        while self._ready and not self._is_next(self._ready[0][1], now):
            heapq.heappop(self._ready)
        if self._ready:
            return now
        return self._later[0][0] if self._later else None

    def _offer(self, item: Item) -> None:
        if item.place is not Place.QUEUED:
            return
        if item.due:
            heapq.heappush(self._later, (item.due, item.ordinal, item))
        else:
            heapq.heappush(self._ready, (item.ordinal, item))

    def _promote(self, now: int) -> None:
        while self._later and self._later[0][0] <= now:
            _, ordinal, item = heapq.heappop(self._later)
            heapq.heappush(self._ready, (ordinal, item))

    def _is_next(self, item: Item, now: int) -> bool:
        return (
            item.place is Place.QUEUED
            and item.due <= now
            and self._users[item.who.user_id][0] is item
        )
