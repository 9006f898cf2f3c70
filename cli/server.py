"""The HTTP server of `usher run`, in the process that is beside the job or in one without it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from dataflows.memory import rare_cycle_search
from dataflows.progress import Progress
from dataflows.question_socket import Asking
from dataflows.threads import short_turns
from project.folder import LoadedProject
from serving.addresses import Doors
from serving.application import admin_application, public_application
from serving.asking import Pulls
from serving.certificates import Renewing
from serving.collecting.collector import Collector
from serving.server import serving
from serving.service import Service


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    service: Service
    collector: Collector | None  # where clients can reach it

    def follow(self, loaded: LoadedProject) -> None:
        """From now on answer by these definitions."""
        self.service.follow(loaded)
        if self.collector is not None:
            self.collector.follow(loaded)

    def drain(self) -> None:
        """From now on say that it is not ready, as its end is near."""
        self.service.is_draining = True


@contextmanager
def served(
    loaded: LoadedProject,
    doors: Doors,
    pulls: Pulls,
    progress: Progress | None = None,
) -> Iterator[Served]:
    """The server answers within, at doors that it closes.

    Args:
        progress: Of the job that it is beside; without one, it is alone.

    Raises:
        SourceError: what is collected is damaged, or another process collects it.
        OSError: the project's folder cannot be written, or the certificate be read.
    """
    with ExitStack() as held:
        held.enter_context(closing(doors))
        held.enter_context(short_turns())
        held.enter_context(rare_cycle_search())
        service = held.enter_context(closing(Service(loaded, pulls, progress)))
        collector = None
        if doors.public is not None:
            held.enter_context(closing(Asking(loaded.root, service.questions)))
            collector = held.enter_context(closing(Collector(loaded, service.keyring)))
        public = None if collector is None else public_application(service, collector)
        shown = None if doors.certificate is None else Renewing(doors.certificate)
        admin = admin_application(service, collector, shown)
        held.enter_context(serving(doors, public, admin, shown, service.end))
        yield Served(service, collector)
