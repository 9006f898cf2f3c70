"""A backfill: asked for, on its way, and done.

Whoever wants one leaves a *request* in the project's `.usher` folder, and the job that runs, or the
next one, sees to it.  The request stays until what was recalled is stored for good, so that a job
that is killed in between begins again.  A *report* beside it tells how far it has come.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from audience_dsl.instants import format_instant
from dataflows.lines import visible
from dataflows.recalling import Recall
from dataflows.steps import GroupTransitions
from engine.hashing import GROUPS

_REQUEST = "backfill"
_REPORT = "backfill-report"

_REPORTED_EVERY = 0.1  # seconds

# When this many epochs have closed after the end, the first of them is stored.
_EPOCHS = 3


class Report(msgspec.Struct):
    """How far a backfill has come: `done` of `size`; when it has ended, what became of it."""

    request: str
    done: int = 0
    size: int = 0
    ended: bool = False
    exact: list[str] = []
    later: dict[str, int] = {}  # condition: from when on it is exact
    lacks: list[str] = []  # why


def request_backfill(folder: Path) -> str:
    """Ask for a backfill; the name of the request, or of the one that is there already."""
    path = folder / _REQUEST
    request = secrets.token_hex(8)
    aside = path.with_name(f"{_REQUEST}.{request}")
    aside.write_text(request)
    try:
        path.hardlink_to(aside)
    except FileExistsError:
        request = requested_backfill(folder) or request
    finally:
        aside.unlink()
    return request


def requested_backfill(folder: Path) -> str | None:
    """The request that waits, if there is one."""
    try:
        return (folder / _REQUEST).read_text()
    except FileNotFoundError:
        return None


def read_report(folder: Path) -> Report | None:
    """The latest report; `None` if there is none."""
    try:
        return msgspec.json.decode((folder / _REPORT).read_bytes(), type=Report)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def sentences(report: Report) -> list[str]:
    """What became of a backfill that has ended, for people."""
    if not report.exact and not report.later:
        return ["nothing to backfill: no condition is warming"]
    return [
        *(f"exact now: {visible(key)}" for key in report.exact),
        *(
            f"warming, exact from {format_instant(instant)} on: {visible(key)}"
            for key, instant in report.later.items()
        ),
        *report.lacks,
    ]


def _nobody(_sentence: str) -> None:
    """Nobody wants to know."""


class Backfill:
    """A request in the hands of a job.

    `tell` is given sentences.  `is_alone` if time is to stand still until it has ended.
    """

    def __init__(
        self,
        folder: Path,
        request: str,
        tell: Callable[[str], None] = _nobody,
        *,
        is_alone: bool = False,
    ) -> None:
        self.request = request
        self.is_alone = is_alone
        self._tell = tell
        self._folder = folder
        self._recall: Recall | None = None
        self._report = Report(request)
        self._reported = 0.0
        self._groups = 0  # that are still to come to the end
        self._epochs = _EPOCHS

    def begin(self, recall: Recall) -> None:
        """What is to be recalled is known; it may be nothing."""
        self._recall = recall
        self._groups = GROUPS * len(recall.warming) if recall.sources else 0
        if self._groups:
            self._tell(f"backfill: {len(recall.sources):,} conditions are warming")
            self._write()
        else:
            self._conclude()

    def progress(self, done: int, size: int) -> None:
        """So much has been read."""
        self._report.done, self._report.size = done, size
        if time.monotonic() - self._reported > _REPORTED_EVERY:
            self._write()

    def lacks(self, source: str, why: str) -> None:
        """Something of a source's history is missing."""
        name = f"source '{source}': "
        self._report.lacks.append(f"{name}{why.removeprefix(name)}")

    def take(self, found: Sequence[GroupTransitions]) -> None:
        """Take note of key groups that have come to the end."""
        for one in found:
            if one.warming is not None:
                self._groups -= 1
                for key, exact_from in one.warming.items():
                    self._report.later[key] = max(exact_from, self._report.later.get(key, 0))

    def settle(self) -> None:
        """An epoch closes."""
        if self._recall is not None and self._recall.sources and self._groups == 0:
            self._epochs -= 1
            if self._epochs == 0:
                self._conclude()

    def close(self) -> None:
        """The job has ended in good order, and has stored its state."""
        if self._groups == 0 and not self._report.ended:
            self._conclude()

    @property
    def report(self) -> Report:
        return self._report

    def _conclude(self) -> None:
        """What was recalled is stored."""
        assert self._recall is not None
        asked = [key for named in self._recall.warming.values() for key in named.values()]
        self._report.later = {key: at for key, at in self._report.later.items() if key in asked}
        self._report.exact = [key for key in asked if key not in self._report.later]
        self._report.ended = True
        for sentence in sentences(self._report):
            self._tell(f"backfill: {sentence}")
        self._write()
        (self._folder / _REQUEST).unlink(missing_ok=True)

    def _write(self) -> None:
        self._reported = time.monotonic()
        path = self._folder / _REPORT
        aside = path.with_suffix(".part")
        aside.write_bytes(msgspec.json.encode(self._report))
        aside.replace(path)
