"""From pages of the journal to what a lane reads: the messages of one sync."""

from __future__ import annotations

from collections.abc import Sequence

from audience_dsl.definitions import Sync
from delivery.entries import Entry
from delivery.messages import Messages
from delivery.pins import PinnedProfiles
from delivery.withheld import WithheldEntries
from engine.records import ENTERED
from membership.deliveries import Population
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

    def __call__(
        self, entries: Sequence[JournalEntry], population: Population | None = None
    ) -> list[Entry]:
        """In their order; what is not for the sync is left out.

        Members of a population meet the snapshot that was in force when it began.

        Raises:
            StoreError: the store or the snapshot cannot be used.
        """
        own = [one for one in entries if self._is_own(one)]
        if not own:
            return []
        if self._sync.properties:
            self._profiles.look(self._ledger)
        again = population is not None and population.again
        asked = (one.record for one in own if again or one.record.type != ENTERED)
        self._withheld.look(record.user_id for record in asked)
        made = []
        for one in own:
            position = one.position if population is None else population.position
            profiles = self._profiles.at(position) if self._sync.properties else _NOBODY
            message = self._messages.of(one, profiles, again=again)
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
