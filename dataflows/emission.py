"""What a running job puts out: a line a transition for people or programs, and destinations.

A sync whose destination is a file or a Kafka topic receives the transitions of its audience.  Other
destinations are refused before the job starts, so that nobody waits for deliveries that never come.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from audience_dsl.definitions import Project, Sync
from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.destinations.kafka import KafkaDestination
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from dataflows.following import wall_clock
from dataflows.ownership import usher_folder
from dataflows.preparation import JobRefused, tell
from dataflows.steps import GroupTransitions
from dataflows.summary import RecordCounts
from engine.records import TransitionRecord, transition_records
from project.folder import LoadedProject

_DATE = len("2026-03-01")


class Emission:
    """The outputs of a job; `show` is given one line a transition.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """

    def __init__(
        self, loaded: LoadedProject, show: Callable[[str], None], *, json: bool = False
    ) -> None:
        self._project = loaded.project
        self._show = show
        self._line = _json_line if json else _text_line
        self._files = {
            key: FileDestination(str(loaded.root / str(destination.options["path"])))
            for key, destination in loaded.project.destinations.items()
            if destination.type == "file"
        }
        self._syncs = _syncs(loaded.project)
        self._topics = {
            key: KafkaDestination(loaded.project.destinations[key], tell)
            for key in sorted({sync.destination for sync in self._syncs} - set(self._files))
        }
        self._dead_letters = FileDestination(str(usher_folder(loaded.root) / "dead-letters.jsonl"))
        self.counts = RecordCounts()
        self.failure: Exception | None = None
        today = _date(wall_clock())
        for key in {sync.destination for sync in self._syncs} & set(self._files):
            self._files[key].open(today)

    def take(self, found: GroupTransitions) -> None:
        now = wall_clock()
        date = _date(now)
        plan = self._project.plans[found.parent_model].plan
        records = transition_records(plan, found.transitions, found.pull, now)
        for destination in {sync.destination: None for sync in self._syncs}:
            # In the order of the records: that of a user holds across syncs.
            wanted = [
                one
                for one in records
                for sync in self._syncs
                if sync.destination == destination
                and one.audience == sync.audience
                and one.type in sync.on
            ]
            if destination in self._topics:
                self._topics[destination].write(wanted)
            else:
                self._files[destination].write(wanted, date)
        for record in records:
            self._show(self._line(record))

    def bury(self, letter: DeadLetter) -> None:
        now = wall_clock()
        record = {
            "received_at": format_instant(now),
            "file": letter.file,
            "line": letter.line,
            "reason": letter.reason,
            "excerpt": letter.excerpt,
        }
        self._dead_letters.write([record], _date(now))

    def count(self, batch: Batch) -> None:
        self.counts.read += batch.received
        self.counts.ignored += batch.ignored
        self.counts.invalid += len(batch.dead_letters)

    def failed(self, error: Exception) -> None:
        """Say that the job is about to stop, and why."""
        self.failure = error
        tell(f"{error}; the job stops")

    def settle(self) -> None:
        for one in self._open():
            one.settle()

    def close(self) -> None:
        for one in self._open():
            one.close()

    def _open(self) -> list[FileDestination | KafkaDestination]:
        return [*self._files.values(), self._dead_letters, *self._topics.values()]


def _syncs(project: Project) -> list[Sync]:
    for sync in project.syncs.values():
        destination = project.destinations[sync.destination]
        if destination.type not in {"file", "kafka"}:
            raise JobRefused(
                f"sync '{sync.key}' delivers to '{destination.key}' of type {destination.type}, "
                "which this release does not deliver to yet; use a destination of type: file or "
                "type: kafka"
            )
        if sync.mapping is not None:
            raise JobRefused(
                f"sync '{sync.key}' has a mapping, which this release does not apply yet; without "
                "it the transition record is delivered"
            )
    return list(project.syncs.values())


def _date(instant: int) -> str:
    return format_instant(instant)[:_DATE]


def _json_line(record: TransitionRecord) -> str:
    return msgspec.json.encode(record).decode()


def _text_line(record: TransitionRecord) -> str:
    cause = record.cause
    why = cause.get("message_id") or cause.get("condition") or cause.get("pull") or ""
    return (
        f"{record.effective_at}  {record.type:<7}  {record.audience}  {_visible(record.user_id)}  "
        f"{cause['kind']}{' ' + _visible(why) if why else ''}"
    )


def _visible(text: str) -> str:
    """Whoever sends events does not get to control the terminal that shows them."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
