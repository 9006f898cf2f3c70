"""From pages of the journal to what a lane reads: the messages of one sync."""

from __future__ import annotations

from collections.abc import Sequence

from audience_dsl.definitions import Sync
from delivery.entries import Entry
from delivery.messages import Messages
from delivery.pins import PinnedProfiles
from delivery.withheld import WithheldEntries
from engine.records import ENTERED
from membership.facts import JournalEntry
from membership.ledger import Ledger
from warehouse.profiles import Profiles

# These transitions were found when somebody looked, and did not just happen.
_INITIAL = frozenset({"initial", "definition_changed", "reconciled"})

_NOBODY = Profiles("", (), None)


class Making:
    """Makes the messages of a sync; members that it begins with have the position 0."""

    def __init__(self, sync: Sync, profiles: PinnedProfiles, ledger: Ledger) -> None:
        self._sync = sync
        self._profiles = profiles
        self._ledger = ledger
        self._withheld = WithheldEntries(sync.key, ledger)
        self._messages = Messages(sync, self._withheld)

    def __call__(self, entries: Sequence[JournalEntry]) -> list[Entry]:
        """In their order; what is not for the sync is left out.

        Raises:
            StoreError: the store or the snapshot cannot be used.
        """
        own = [one for one in entries if self._is_own(one)]
        if not own:
            return []
        if self._sync.properties:
            self._profiles.look(self._ledger)
        self._withheld.look(one.record.user_id for one in own if one.record.type != ENTERED)
        made = []
        for one in own:
            profiles = self._profiles.at(one.position) if self._sync.properties else _NOBODY
            message = self._messages.of(one, profiles)
            if message is not None:
                is_initial = one.record.cause["kind"] in _INITIAL
                made.append(Entry(one.position, message, is_initial))
        self._withheld.write(own[-1].position)
        return made

    def _is_own(self, entry: JournalEntry) -> bool:
        """Where the initial members are held back, so are those who enter as if they were.

        Whoever leaves is always sent, so that nobody stays in a destination for ever.
        """
        record = entry.record
        if record.audience != self._sync.audience:
            return False
        as_initial = record.type == ENTERED and record.cause["kind"] in _INITIAL
        return self._sync.sends_initial or not as_initial or entry.position == 0
