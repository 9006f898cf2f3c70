"""From the journal's transitions to a sync's messages: mapped, or withheld.

What comes out depends on the transition, on the sync's definition and on the version of the
snapshot alone, so a message that is made again has the body that it had.

`only_if` is asked when somebody enters.  Who is withheld then is withheld as he leaves, and who was
sent is sent as he leaves, whatever the warehouse says of him by that time: nobody stays behind in a
destination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from audience_dsl.closures import compile_filter
from audience_dsl.definitions import Sync
from audience_dsl.templates import RenderError, compile_template
from connectors.destinations.destination import Message, Record
from delivery.entries import Unsendable
from engine.records import ENTERED, TransitionRecord
from membership.facts import JournalEntry
from warehouse.profiles import Profiles


class Withheld(Protocol):
    """The entries that a sync has kept to itself, by user and the transition's sequence.

    What is added has to be durable before the sync's cursor passes the transition; what is removed
    must be remembered until the cursor has passed the exit, whose sequence is the next.
    """

    def has(self, user_id: str, sequence: int) -> bool: ...

    def add(self, user_id: str, sequence: int) -> None:
        """Adding it once more changes nothing."""

    def remove(self, user_id: str, sequence: int) -> None: ...


class Messages:
    """Makes the messages of one sync."""

    def __init__(self, sync: Sync, withheld: Withheld) -> None:
        self._sync = sync
        self._withheld = withheld
        self._template = None if sync.mapping is None else compile_template(sync.mapping)
        self._only_if = None if sync.only_if is None else compile_filter(sync.only_if)
        self._nothing = dict.fromkeys(sync.event_properties)

    def of(
        self, entry: JournalEntry, profiles: Profiles, *, again: bool = False
    ) -> Message | Unsendable | None:
        """`None` is nothing to send.

        Transitions of other audiences are not for the sync; those of its own come in the journal's
        order.  `profiles` are the users of its audience's parent model.  An entry comes `again`
        where the sync has sent or withheld it before.
        """
        record = entry.record
        if record.audience != self._sync.audience:
            return None
        if self._keeps(record, profiles, again=again) or record.type not in self._sync.on:
            return None
        fields = msgspec.structs.asdict(record)
        mapped: Record | None = None
        if self._template is not None:
            try:
                mapped = self._template.render(self._variables(fields, entry.event, profiles))
            except RenderError as error:
                return Unsendable(fields, f"the mapping of sync '{self._sync.key}': {error}")
        return Message(record.id, record.user_id, record.type == ENTERED, fields, mapped)

    def _keeps(self, record: TransitionRecord, profiles: Profiles, *, again: bool) -> bool:
        """Whether the transition is withheld."""
        user_id, sequence = record.user_id, record.sequence
        if record.type == ENTERED:
            if self._only_if is None or self._only_if(profiles.of(user_id), profiles.taken_at):
                if again and self._withheld.has(user_id, sequence):
                    self._withheld.remove(user_id, sequence)
                return False
            # Who was sent once stays sent, or the destination would never hear of the exit.
            if not again:
                self._withheld.add(user_id, sequence)
            return True
        if not self._withheld.has(user_id, sequence - 1):
            return False
        self._withheld.remove(user_id, sequence - 1)
        return True

    def _variables(
        self, fields: Record, event: str | None, profiles: Profiles
    ) -> Mapping[str, object]:
        of_event = self._nothing if event is None else self._nothing | msgspec.json.decode(event)
        return {
            **fields,
            "cause": _Cause(fields["cause"]),  # type: ignore[call-overload]
            "entered": fields["type"] == ENTERED,
            "properties": profiles.of(str(fields["user_id"])) if self._sync.properties else {},
            "event": of_event,
        }


class _Cause(dict[str, str]):
    """What a cause does not have is missing, and no mistake: each kind has its own."""

    def __missing__(self, key: str) -> None:
        return None
