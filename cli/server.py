"""The HTTP server as a part of `usher run`, beside the job or alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from cli.control import controlled
from cli.refreshing import Refreshing
from dataflows.preparation import tell
from dataflows.progress import Progress
from dataflows.questions import Questions
from project.folder import LoadedProject
from serving.addresses import Doors, open_doors
from serving.application import admin_application, public_application
from serving.asking import Pulls
from serving.collecting.collector import Collector
from serving.server import serving
from serving.service import Service


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    service: Service
    collector: Collector
    doors: Doors

    def follow(self, loaded: LoadedProject) -> None:
        """From now on answer by these definitions."""
        self.service.follow(loaded)
        self.collector.follow(loaded)

    def announce(self) -> None:
        """Say where it is."""
        for sentence in self.doors.sentences:
            tell(sentence)


@contextmanager
def served(
    loaded: LoadedProject,
    pulls: Pulls,
    progress: Progress | None = None,
    questions: Questions | None = None,
) -> Iterator[Served]:
    """The server answers within.

    Args:
        progress: Of the job in this process; without one, it is the server's process alone.
        questions: For that job.

    Raises:
        JobRefused: it cannot listen where it should.
        SourceError: what is collected is damaged, or another process collects it.
    """
    with ExitStack() as held:
        doors = held.enter_context(closing(open_doors(loaded, must_listen=progress is None)))
        collector = held.enter_context(closing(Collector(loaded)))
        service = held.enter_context(closing(Service(loaded, pulls, progress, questions)))
        public = public_application(service, collector)
        admin = admin_application(service, collector)
        held.enter_context(serving(doors, public, admin, service.end))
        yield Served(service, collector, doors)


def serve(loaded: LoadedProject) -> None:
    """Answer until SIGTERM, from what a job keeps in the project's folder and store.

    Raises:
        JobRefused: it cannot listen where it should.
        SourceError: what is collected is damaged, or another process collects it.
    """
    pulls = Refreshing(loaded, on_schedule=False)
    with (
        pulls.working(),
        served(loaded, pulls) as server,
        controlled(loaded, lambda _awaiting: None) as control,
    ):
        server.announce()
        tell("running; stop with SIGTERM or Ctrl-C")
        while True:
            changed = threading.Event()
            control.attach(changed)
            changed.wait()
            found = control.take_next()
            if found is None:
                break
            server.follow(found)
            pulls.follow(found)
    tell("stopped")
