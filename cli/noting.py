"""Notes each second how far the job has come, for servers that are not beside it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.discretion import fault
from connectors.sentences import Alarm
from connectors.wall_clock import wall_clock
from dataflows.log_lines import tell
from dataflows.progress import Progress
from membership.errors import StoreError
from membership.job_note import JobNote, JobNotes
from project.folder import LoadedProject
from project.stores import open_job_notes

_EVERY = 1.0  # seconds

# Seconds that a store may hold up the end.
_PATIENCE = 5.0


class Noting:
    """A store that does not take a note is asked again: the job, which needs it, tells of it."""

    def __init__(self, loaded: LoadedProject, progress: Progress) -> None:
        self._loaded = loaded
        self._progress = progress
        self._notes: JobNotes | None = None
        self._opened_for = loaded
        self._ended = threading.Event()

    def follow(self, loaded: LoadedProject) -> None:
        """From now on note it in the store of these definitions."""
        self._loaded = loaded

    @contextmanager
    def working(self) -> Iterator[None]:
        """Notes are written within."""
        thread = threading.Thread(target=self._work, name="usher-notes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(_PATIENCE)

    def _work(self) -> None:
        told = ""
        try:
            while not self._ended.wait(_EVERY):
                try:
                    self._write()
                except StoreError:
                    self._close()
                except Exception as error:  # noqa: BLE001  others wait for notes as long as it runs
                    failed = f"how far the job has come cannot be noted: {fault(error)}"
                    if failed != told:
                        tell(Alarm(failed))
                    told = failed
                    self._close()
                else:
                    told = ""
        finally:
            self._close()

    def _write(self) -> None:
        clock = self._progress.clock
        if clock is None:
            return
        if self._opened_for is not self._loaded:
            self._close()
        if self._notes is None:
            self._opened_for = self._loaded
            self._notes = open_job_notes(self._opened_for)
        self._notes.write(JobNote(clock, self._progress.has_caught_up, wall_clock()))

    def _close(self) -> None:
        if self._notes is not None:
            self._notes.close()
            self._notes = None
