"""Who is withheld by a sync: as the ledger has it, or for as long as a preview takes."""

from __future__ import annotations

from collections.abc import Iterable

from membership.deliveries import Who
from membership.ledger import Ledger


class WithheldEntries:
    """Asked a page at a time: `look`, then questions and changes, then `write`.

    What is added is durable when `write` returns.  What is removed is forgotten only when the
    sync's cursor has passed it, since until then a crash would have it asked for again.

    Raises:
        StoreError: by `look` and `write`; the store cannot be used.
    """

    def __init__(self, sync: str, ledger: Ledger) -> None:
        self._sync = sync
        self._ledger = ledger
        self._known: set[Who] = set()
        self._added: set[Who] = set()
        self._removed: set[Who] = set()
        self._leaving: dict[Who, int] = {}

    def look(self, users: Iterable[str]) -> None:
        self._known = self._ledger.withheld(self._sync, sorted({*users}))
        self._added, self._removed = set(), set()

    def has(self, user_id: str, sequence: int) -> bool:
        return Who(user_id, sequence) in self._known

    def add(self, user_id: str, sequence: int) -> None:
        who = Who(user_id, sequence)
        self._known.add(who)
        self._added.add(who)

    def remove(self, user_id: str, sequence: int) -> None:
        self._removed.add(Who(user_id, sequence))

    def write(self, position: int) -> None:
        """What was asked about goes up to a position of the journal."""
        if self._added:
            self._ledger.withhold(self._sync, self._added)
        if self._leaving:
            passed = self._ledger.passed([self._sync])
            gone = [who for who, at in self._leaving.items() if at <= passed]
            self._ledger.release(self._sync, gone)
            for who in gone:
                del self._leaving[who]
        self._leaving |= dict.fromkeys(self._removed, position)


class BriefWithheld:
    """In memory, where nothing is delivered."""

    def __init__(self) -> None:
        self.entries: set[Who] = set()

    def has(self, user_id: str, sequence: int) -> bool:
        return Who(user_id, sequence) in self.entries

    def add(self, user_id: str, sequence: int) -> None:
        self.entries.add(Who(user_id, sequence))

    def remove(self, user_id: str, sequence: int) -> None:
        self.entries.discard(Who(user_id, sequence))
