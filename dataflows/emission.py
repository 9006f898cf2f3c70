"""What a running job puts out: transitions into the journal, and from there to whoever waits.

The journal comes first.  What it accepts is durable when it is shown, printed or delivered; what
the core finds again after a crash, it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from dataflows.deliveries import Deliveries, today
from dataflows.following import wall_clock
from dataflows.lines import json_line, text_line
from dataflows.ownership import usher_folder
from dataflows.preparation import tell
from dataflows.steps import GroupTransitions
from dataflows.summary import RecordCounts
from engine.hashing import GROUPS
from membership.proposals import proposals_of
from membership.reader import MembershipReader
from membership.store import MembershipStore
from project.folder import LoadedProject
from project.stores import open_reader, open_store


class Emission:
    """The outputs of a job; `show` is given one line a transition.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """

    def __init__(
        self, loaded: LoadedProject, show: Callable[[str], None], *, json: bool = False
    ) -> None:
        self._loaded = loaded
        self._show = show
        self._line = json_line if json else text_line
        self._deliveries = Deliveries(loaded)
        self._dead_letters = FileDestination(str(usher_folder(loaded.root) / "dead-letters.jsonl"))
        self._store: MembershipStore | None = None
        self._reader: MembershipReader | None = None
        self.counts = RecordCounts()
        self.failure: Exception | None = None

    def begin(self) -> None:
        """Become the writer of the journal, and deliver what an earlier job has left.

        Raises:
            StoreError: the membership store cannot be opened.
        """
        self._store = open_store(self._loaded)
        self._reader = open_reader(self._loaded)
        parents = self._loaded.project.plans
        self._store.claim((parent, group) for parent in parents for group in range(GROUPS))
        self._deliveries.begin(self._store, self._reader)

    def take(self, found: Sequence[GroupTransitions]) -> None:
        assert self._store is not None
        plans = self._loaded.project.plans
        batch = [
            proposals_of(plans[one.parent_model].plan, one.group, one.transitions, one.pull)
            for one in found
            if len(one.transitions)
        ]
        if not batch:
            return
        entries = self._store.record(batch, wall_clock()).journal_entries()
        self._deliveries.deliver(entries)
        for entry in entries:
            self._show(self._line(entry.record))

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        now = format_instant(wall_clock())
        records = [
            {
                "received_at": now,
                "file": letter.file,
                "line": letter.line,
                "reason": letter.reason,
                "excerpt": letter.excerpt,
            }
            for letter in letters
        ]
        self._dead_letters.write(msgspec.json.Encoder().encode_lines(records), today())

    def count(self, batch: Batch) -> None:
        self.counts.read += batch.received
        self.counts.ignored += batch.ignored
        self.counts.invalid += len(batch.dead_letters)

    def failed(self, error: Exception) -> None:
        """Say that the job is about to stop, and why."""
        self.failure = error
        tell(f"{error}; the job stops")

    def settle(self) -> None:
        self._deliveries.settle()
        self._dead_letters.settle()

    def close(self) -> None:
        """Let go of everything.

        Raises:
            OSError: a destination cannot be written.
        """
        self._deliveries.close()
        self._dead_letters.close()
        for store in (self._store, self._reader):
            if store is not None:
                store.close()
