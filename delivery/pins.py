"""Which version of the snapshot the messages of which transitions are made with.

From a position of the journal on it is the version that was in force when deliveries noticed it;
that is written down before any message is made with it.  So a transition that is read again, after
a crash or not, meets the version that it met before.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Collection

from connectors.sentences import Trouble
from membership.errors import StoreUnavailable
from membership.ledger import Ledger
from warehouse.errors import WarehouseError
from warehouse.profiles import Profiles, ProfileVersions


class PinnedProfiles:
    """Of one parent model, for all syncs of its audiences; may be asked in any thread.

    Args:
        syncs: The keys of the syncs whose place in the journal decides what is still needed.
        tell: Given a sentence for people where a pinned version is gone.
    """

    def __init__(
        self,
        parent_model: str,
        syncs: Collection[str],
        versions: ProfileVersions,
        tell: Callable[[str], None],
    ) -> None:
        self._parent_model = parent_model
        self._syncs = syncs
        self._versions = versions
        self._tell = tell
        self._lock = threading.Lock()
        self._pins: list[tuple[int, str]] = []
        self._told: set[str] = set()

    def look(self, ledger: Ledger) -> None:
        """Find out whether another version is in force; from the journal's end on it is used.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            try:
                self._look(ledger)
            except OSError as error:  # a disk that is full, or may not be written to
                why = (
                    f"the snapshots of {self._parent_model} cannot be kept for deliveries: {error}"
                )
                self._say(Trouble(why))
                raise StoreUnavailable(why) from error

    def _look(self, ledger: Ledger) -> None:
        current = self._versions.current()
        pins = self._pins or ledger.pins(self._parent_model)
        if current and (not pins or pins[-1][1] != current):
            ledger.pin(self._parent_model, current)
            ledger.unpin(self._parent_model, ledger.passed(self._syncs))
            pins = ledger.pins(self._parent_model)
        if current and pins != self._pins:
            self._versions.pin(version for _, version in pins)
        # Not before their files are kept: whoever looks next would take that for done.
        self._pins = pins

    def at(self, position: int) -> Profiles:
        """The users for the message of the transition at a position.

        Raises:
            StoreUnavailable: no version can be looked at.
        """
        with self._lock:
            place = bisect_left(self._pins, position, key=lambda pin: pin[0])
            version = self._pins[max(0, place - 1)][1] if self._pins else ""
            try:
                found = self._versions.at(version)
            except (WarehouseError, OSError, ValueError) as error:
                self._say(Trouble(error))
                raise StoreUnavailable(str(error)) from error
        self._say(found.note)
        return found

    def _say(self, sentence: str) -> None:
        if sentence and sentence not in self._told:
            self._told.add(sentence)
            self._tell(sentence)
