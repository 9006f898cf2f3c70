"""What a running job puts out: transitions into the journal, and from there to whoever waits.

The journal comes first.  What it accepts is durable when it is shown, printed or delivered; what
the core finds again after a crash, it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from audience_dsl.instants import format_instant
from connectors.destinations.file import FileDestination
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from dataflows.deliveries import Deliveries, today
from dataflows.following import wall_clock
from dataflows.lines import json_line, text_line, visible
from dataflows.ownership import usher_folder
from dataflows.preparation import tell
from dataflows.steps import GroupTransitions
from dataflows.summary import RecordCounts
from engine.group import Member
from engine.hashing import GROUPS
from engine.plan import Plan
from membership.proposals import Proposals, proposals_of
from membership.reader import MembershipReader
from membership.reconciling import corrections
from membership.store import MembershipStore
from project.folder import LoadedProject
from project.stores import open_reader, open_store


def _ignore(_differences: int) -> None:
    """Nobody wants to know."""


class Emission:
    """The outputs of a job; `show` is given one line a transition, and `counts` go on if given.

    `reconciled` is told how many transitions were needed to make journal and state agree, once all
    key groups have been compared.

    Raises:
        JobRefused: a sync asks for what this release does not deliver.
        OSError: a destination cannot be written.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        show: Callable[[str], None],
        *,
        json: bool = False,
        reconciled: Callable[[int], None] = _ignore,
        counts: RecordCounts | None = None,
    ) -> None:
        self._loaded = loaded
        self._show = show
        self._line = json_line if json else text_line
        self._deliveries = Deliveries(loaded)
        self._dead_letters = FileDestination(str(usher_folder(loaded.root) / "dead-letters.jsonl"))
        self._store: MembershipStore | None = None
        self._reader: MembershipReader | None = None
        self._reconciled = reconciled
        self._unreconciled = len(loaded.project.plans) * GROUPS
        self.differences = 0
        self.counts = counts or RecordCounts()
        self.failure: Exception | None = None
        self._warming: set[str] = set()

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
        self._record(
            [
                proposals_of(self._plan(one), one.group, one.transitions, one.pull)
                for one in found
                if len(one.transitions)
            ]
        )
        for one in found:
            if one.members is not None:
                self._reconcile(one, one.members)

    def _reconcile(self, found: GroupTransitions, members: Sequence[Member]) -> None:
        """Correct the journal where it differs from what the core says of a key group."""
        assert self._reader is not None
        plan = self._plan(found)
        heads = self._reader.heads(found.parent_model, found.group)
        self.differences += self._record(
            [corrections(plan, found.group, members, heads, found.tick)]
        )
        self._unreconciled -= 1
        if self._unreconciled == 0:
            self._reconciled(self.differences)

    def _record(self, batch: Sequence[Proposals]) -> int:
        """Bring into the journal, and from there to whoever waits; return how many it accepted."""
        assert self._store is not None
        batch = [one for one in batch if len(one)]
        if not batch:
            return 0
        entries = self._store.record(batch, wall_clock()).journal_entries()
        self._deliveries.deliver(entries)
        for entry in entries:
            self._show(self._line(entry.record))
        return len(entries)

    def _plan(self, found: GroupTransitions) -> Plan:
        return self._loaded.project.plans[found.parent_model].plan

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

    def warming(self, conditions: Mapping[str, int]) -> None:
        """Say it once of each; the groups restored together agree on the instant."""
        for key, exact_from in conditions.items():
            if key not in self._warming:
                self._warming.add(key)
                tell(f"warming, exact from {format_instant(exact_from)} on: {visible(key)}")

    def settle(self) -> None:
        self._deliveries.settle()
        self._dead_letters.settle()

    def close(self) -> None:
        """Let go of everything.

        Raises:
            OSError: a destination cannot be written.
        """
        self.settle()
        self._deliveries.close()
        self._dead_letters.close()
        for store in (self._store, self._reader):
            if store is not None:
                store.close()
