"""What a running job puts out: a line a transition for people or programs, and file destinations.

A sync whose destination is a file receives the transitions of its audience.  Other destinations
are refused before the job starts, so that nobody waits for deliveries that never come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np

from audience_dsl.definitions import Project, Sync
from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from dataflows.following import wall_clock
from dataflows.ownership import usher_folder
from dataflows.preparation import JobRefused
from dataflows.steps import GroupTransitions
from dataflows.summary import RecordCounts
from engine.plan import Int64s, Plan
from engine.records import ENTERED, EXITED, RecordWriter, format_instants, kind_of
from engine.transitions import Cause, Transitions
from project.folder import LoadedProject

_DATE = len("2026-03-01")


class Emission:
    """The outputs of a job; `show` is given one line a transition, and `counts` go on if given.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a file destination cannot be written.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        show: Callable[[str], None],
        *,
        json: bool = False,
        counts: RecordCounts | None = None,
    ) -> None:
        self._project = loaded.project
        self._show = show
        self._json = json
        self._records = {
            parent: RecordWriter([one.plan]) for parent, one in loaded.project.plans.items()
        }
        self._files = {
            key: FileDestination(str(loaded.root / str(destination.options["path"])))
            for key, destination in loaded.project.destinations.items()
            if destination.type == "file"
        }
        self._syncs = _file_syncs(loaded.project)
        self._dead_letters = FileDestination(str(usher_folder(loaded.root) / "dead-letters.jsonl"))
        self.counts = counts or RecordCounts()
        self.failure: Exception | None = None
        self._warming: set[str] = set()
        today = _date(wall_clock())
        for key in {sync.destination for sync in self._syncs}:
            self._files[key].open(today)

    def take(self, found: GroupTransitions) -> None:
        transitions = found.transitions
        if not len(transitions):
            return
        now = wall_clock()
        lines = self._records[found.parent_model].lines(transitions, found.pull, now)
        plan = self._project.plans[found.parent_model].plan
        for sync in self._syncs:
            rows = _rows_for(sync, plan, transitions)
            if len(rows):
                self._files[sync.destination].write(lines.taken(rows).data.data, _date(now))
        shown = lines.tolist() if self._json else _text_lines(plan, transitions, found.pull)
        for line in shown:
            self._show(line.rstrip("\n"))

    def bury(self, letter: DeadLetter) -> None:
        now = wall_clock()
        record = {
            "received_at": format_instant(now),
            "file": letter.file,
            "line": letter.line,
            "reason": letter.reason,
            "excerpt": letter.excerpt,
        }
        self._dead_letters.write(msgspec.json.encode(record) + b"\n", _date(now))

    def count(self, batch: Batch) -> None:
        self.counts.read += batch.received
        self.counts.ignored += batch.ignored
        self.counts.invalid += len(batch.dead_letters)

    def failed(self, error: Exception) -> None:
        """Say that the job is about to stop, and why."""
        self.failure = error
        sys.stderr.write(f"usher: {error}; the job stops\n")

    def warming(self, conditions: Mapping[str, int]) -> None:
        """Say it once of each; the groups restored together agree on the instant."""
        for key, exact_from in conditions.items():
            if key not in self._warming:
                self._warming.add(key)
                sys.stderr.write(
                    f"usher: warming, exact from {format_instant(exact_from)} on: {_visible(key)}\n"
                )

    def settle(self) -> None:
        for file in (*self._files.values(), self._dead_letters):
            file.settle()

    def close(self) -> None:
        for file in (*self._files.values(), self._dead_letters):
            file.close()


def _file_syncs(project: Project) -> list[Sync]:
    for sync in project.syncs.values():
        destination = project.destinations[sync.destination]
        if destination.type != "file":
            raise JobRefused(
                f"sync '{sync.key}' delivers to '{destination.key}' of type {destination.type}, "
                "which this release does not deliver to yet; use a destination of type: file"
            )
        if sync.mapping is not None:
            raise JobRefused(
                f"sync '{sync.key}' has a mapping, which this release does not apply yet; without "
                "it the transition record is delivered"
            )
    return list(project.syncs.values())


def _date(instant: int) -> str:
    return format_instant(instant)[:_DATE]


def _rows_for(sync: Sync, plan: Plan, transitions: Transitions) -> Int64s:
    """The transitions that a sync delivers."""
    numbers = [number for number, one in enumerate(plan.audiences) if one.key == sync.audience]
    types = [sequence for sequence, type_ in enumerate((EXITED, ENTERED)) if type_ in sync.on]
    ours = np.isin(transitions.audiences, numbers) & np.isin(transitions.sequences & 1, types)
    return np.flatnonzero(ours)


def _text_lines(plan: Plan, transitions: Transitions, pull: str) -> Iterator[str]:
    columns = zip(
        format_instants(transitions.effective_at),
        transitions.sequences.tolist(),
        transitions.audiences.tolist(),
        transitions.users.tolist(),
        map(Cause, transitions.causes.tolist()),
        transitions.conditions.tolist(),
        transitions.message_ids.tolist(),
        strict=True,
    )
    for effective_at, sequence, audience, user, cause, condition, message_id in columns:
        match cause:
            case Cause.EVENT:
                why = message_id
            case Cause.WINDOW_EXPIRED:
                why = plan.conditions[condition].key
            case Cause.WAREHOUSE_PULL:
                why = pull
            case _:
                why = ""
        yield (
            f"{effective_at}  {ENTERED if sequence & 1 else EXITED:<7}  "
            f"{plan.audiences[audience].key}  {_visible(user)}  "
            f"{kind_of(cause)}{' ' + _visible(why) if why else ''}"
        )


def _visible(text: str) -> str:
    """Whoever sends events does not get to control the terminal that shows them."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
