"""Messages to look at a sync, or to try it, with: made of one user's transitions."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing

from audience_dsl.definitions import Sync
from connectors.destinations.destination import Message
from connectors.wall_clock import wall_clock
from dataflows.destinations import profiles_of
from delivery.entries import Unsendable
from delivery.messages import Messages
from delivery.samples import sample_entries
from delivery.withheld import BriefWithheld
from membership.errors import StoreMissing
from membership.facts import JournalEntry
from membership.reader import MembershipReader
from project.folder import LoadedProject
from project.stores import open_reader
from warehouse.errors import WarehouseError
from warehouse.profiles import Profiles


def reader_of(loaded: LoadedProject, held: ExitStack) -> MembershipReader | None:
    """`None` where nothing has been recorded."""
    try:
        return held.enter_context(closing(open_reader(loaded)))
    except StoreMissing:
        return None


def entries_of(
    loaded: LoadedProject, sync: Sync, reader: MembershipReader | None, user_id: str
) -> tuple[JournalEntry, JournalEntry]:
    """An entry of a user and the exit that follows it, as recorded or made up."""
    audience = loaded.project.audiences[sync.audience]
    plan = loaded.project.plans[audience.parent_model].plan
    (version,) = (one.version for one in plan.audiences if one.key == sync.audience)
    return sample_entries(reader, audience, version, user_id, wall_clock())


def messages_of(
    loaded: LoadedProject, sync: Sync, entries: Sequence[JournalEntry]
) -> list[Message | Unsendable | None]:
    """What the sync makes of these transitions, with the columns of the snapshot in force.

    Raises:
        WarehouseError: there is none, or it cannot be read.
    """
    profiles, messages = _profiles(loaded, sync), Messages(sync, BriefWithheld())
    return [messages.of(entry, profiles) for entry in entries]


def _profiles(loaded: LoadedProject, sync: Sync) -> Profiles:
    if not sync.properties:
        return Profiles("", (), None)
    parent = loaded.project.audiences[sync.audience].parent_model
    versions = profiles_of(loaded, parent)
    version = versions.current()
    if not version:
        raise WarehouseError(
            f"the sync looks at columns of {parent}, of which there is no snapshot yet; "
            f"run: usher pull {parent}"
        )
    return versions.at(version)
