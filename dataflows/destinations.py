"""Where a project's syncs deliver to, and what each of them sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audience_dsl.definitions import Sync
from audience_dsl.syncs import SYNC_COLLECTION
from connectors.destinations.destination import Destination
from connectors.destinations.errors import DestinationError
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from dataflows.log_lines import tell
from delivery.deliveries import Deliveries
from delivery.feed import Work
from delivery.pins import PinnedProfiles
from project.folder import LoadedProject
from warehouse.profiles import ProfileVersions


def open_deliveries(loaded: LoadedProject) -> Deliveries:
    """The deliveries of a project's syncs, each with a destination of its own.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
    """
    return Deliveries(works_of(loaded), opener_of(loaded), tell)


def works_of(loaded: LoadedProject) -> Sequence[Work]:
    """One for each sync, ordered by key."""
    works = []
    for parent_model, plan in loaded.project.plans.items():
        versions = {one.key: one.version for one in plan.plan.audiences}
        syncs = [one for one in loaded.project.syncs.values() if one.audience in versions]
        profiles = PinnedProfiles(
            parent_model, [one.key for one in syncs], profiles_of(loaded, parent_model), tell
        )
        works += [Work(one, parent_model, versions[one.audience], profiles) for one in syncs]
    return sorted(works, key=lambda work: work.sync.key)


def profiles_of(loaded: LoadedProject, parent_model: str) -> ProfileVersions:
    """What the syncs of a parent model's audiences look at."""
    collections = loaded.project.plans[parent_model].collections
    looked_at = next((one for one in collections if one.key == SYNC_COLLECTION), None)
    return ProfileVersions(loaded.root, parent_model, looked_at)


def opener_of(loaded: LoadedProject) -> Callable[[Sync], Destination]:
    """What opens the destination of a sync; it raises `DestinationError`."""
    place = Place(loaded.root, tell)

    def opened(sync: Sync) -> Destination:
        settings = loaded.project.destinations[sync.destination]
        try:
            return open_destination(settings, place)
        except DestinationError as error:
            raise DestinationError(f"sync '{sync.key}': {error}") from error

    return opened
