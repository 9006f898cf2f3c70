"""What a lane wants to be remembered: gathered while it works, and taken now and then.

What is being written down is kept until that has succeeded; what is newer wins over it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from delivery.parking import waiting_of
from delivery.queues import Item
from membership.deliveries import Attempt, Changes, DeadLetter, Population, SyncState, Who

# Attempts that are kept between two times at which they are written down.
_ATTEMPTS = 2_000


class Notes:
    """Args: `saved` is what the store has, without rows."""

    def __init__(self, saved: Changes) -> None:
        self._saved = saved
        self._saving: Changes | None = None
        self._waiting: dict[Who, Item | None] = {}  # `None`: it waits no longer
        self._letters: dict[Who, tuple[Item, DeadLetter]] = {}
        self._revived: list[Who] = []
        self._attempts: deque[Attempt] = deque(maxlen=_ATTEMPTS)
        self._waiting_saving: dict[Who, Item | None] = {}
        self._letters_saving: dict[Who, tuple[Item, DeadLetter]] = {}

    def parked(self, item: Item) -> None:
        self._waiting[item.who] = item

    def settled(self, item: Item) -> None:
        """A parked one is accepted."""
        self._waiting[item.who] = None

    def given_up(self, item: Item, letter: DeadLetter) -> None:
        self._waiting.pop(item.who, None)
        self._letters[item.who] = (item, letter)

    def revived(self, item: Item) -> None:
        """It was a dead letter, and waits again."""
        self._waiting[item.who] = item
        self._revived.append(item.who)

    def attempted(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)

    def take(self, cursor: int, population: Population | None, state: SyncState) -> Changes | None:
        """What is to be written down, `None` if nothing is; `saved` or `unsaved` says how it went.

        Args:
            cursor, population, state: As they are now.
        """
        assert self._saving is None, "one after the other"
        waiting = [waiting_of(item) for item in self._waiting.values() if item is not None]
        settled = [who for who, item in self._waiting.items() if item is None]
        changes = Changes(
            self._saved.sync,
            cursor,
            population,
            waiting,
            settled + list(self._letters),
            [letter for _, letter in self._letters.values()],
            self._revived,
            list(self._attempts),
            state,
        )
        if changes == self._saved:
            return None
        self._saving = changes
        self._waiting_saving, self._waiting = self._waiting, {}
        self._letters_saving, self._letters = self._letters, {}
        self._revived = []
        self._attempts.clear()
        return changes

    def saved(self) -> list[Item]:
        """It is durable; returned are those that are given up."""
        assert self._saving is not None
        self._saved = replace(
            self._saving, waiting=[], settled=[], dead=[], revived=[], attempts=[]
        )
        items = [item for item, _ in self._letters_saving.values()]
        self._end()
        return items

    def unsaved(self) -> None:
        """It is not."""
        assert self._saving is not None
        self._waiting = self._waiting_saving | self._waiting
        self._letters = self._letters_saving | self._letters
        self._revived = [*self._saving.revived, *self._revived]
        self._attempts.extendleft(reversed(self._saving.attempts))
        self._end()

    def _end(self) -> None:
        self._saving = None
        self._waiting_saving, self._letters_saving = {}, {}
