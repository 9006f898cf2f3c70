"""Where a project's syncs deliver to, and what each of them sends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from audience_dsl.definitions import Sync
from connectors.destinations.destination import Destination
from connectors.destinations.errors import DestinationError
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from dataflows.preparation import JobRefused, tell
from delivery.deliveries import Deliveries
from delivery.feed import Work, whole_records
from project.folder import LoadedProject


def open_deliveries(loaded: LoadedProject) -> Deliveries:
    """The deliveries of a project's syncs, each with a destination of its own.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        DestinationError: a destination cannot be opened with its settings.
    """
    return Deliveries(works_of(loaded), opener_of(loaded), tell)


def works_of(loaded: LoadedProject) -> Sequence[Work]:
    """One for each sync, ordered by key.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
    """
    return [_work(loaded, sync) for _, sync in sorted(loaded.project.syncs.items())]


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


def _work(loaded: LoadedProject, sync: Sync) -> Work:
    if sync.mapping is not None or sync.only_if is not None:
        raise JobRefused(
            f"sync '{sync.key}' has a mapping or only_if, which this release does not apply yet; "
            "without them the transition record of everybody is delivered"
        )
    for parent_model, one in loaded.project.plans.items():
        for audience in one.plan.audiences:
            if audience.key == sync.audience:
                return Work(sync, parent_model, audience.version, whole_records(sync))
    raise AssertionError("a sync's audience is checked when definitions are read")
