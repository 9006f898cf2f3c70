"""What a running job puts out: transitions into the journal, and what it cannot read.

The journal comes first.  What it accepts is durable, and the outbox shows and delivers it; what the
core finds again after a crash, it leaves out.

A process claims a key group just before it first records for it, or compares it with the journal.
So of the processes of one job, each owns what it evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import msgspec

from audience_dsl.instants import SECOND, format_instant
from connectors.destinations.appending import append
from connectors.sentences import Alarm
from connectors.sources.chunks import DeadLetter
from connectors.sources.reader import Batch
from connectors.wall_clock import wall_clock
from dataflows.lines import visible
from dataflows.log_lines import tell
from dataflows.ownership import FOLDER, usher_folder
from dataflows.progress import Progress
from dataflows.steps import GroupTransitions
from engine.group import Counts, Member
from engine.hashing import GROUPS
from engine.plan import Plan
from engine.transitions import Cause
from membership.facts import Recorded
from membership.proposals import Proposals, proposals_of
from membership.reconciling import corrections
from membership.store import KeyGroup, MembershipStore
from project.folder import LoadedProject
from project.stores import open_reader

Reconciled = Callable[[int], None]

_BY_EVENT, _BY_TIME = int(Cause.EVENT), int(Cause.WINDOW_EXPIRED)

# In the project's folder: what could not be understood, as JSON lines.
DEAD_LETTERS = f"{FOLDER}/dead-letters.jsonl"


def ignore(_what: object) -> None:
    """Nobody wants to know."""


class Reconciliation:
    """Adds up what the comparison of key groups has found; `done` is told when it is all."""

    def __init__(self, loaded: LoadedProject, done: Reconciled = ignore) -> None:
        self._missing = len(loaded.project.plans) * GROUPS
        self._done = done
        self.differences = 0

    def add(self, differences: int) -> None:
        """One more key group has been compared."""
        self.differences += differences
        self._missing -= 1
        if self._missing == 0:
            self._done(self.differences)


class WarmingNotes:
    """Says of each condition once that it is warming; groups restored together agree on it."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def add(self, conditions: Mapping[str, int]) -> None:
        """These are exact from those instants on."""
        for key, exact_from in conditions.items():
            if key not in self._told:
                self._told.add(key)
                tell(f"warming, exact from {format_instant(exact_from)} on: {visible(key)}")


class Emission:
    """The outputs of a job, which go into a store; `progress` goes on if given.

    `wake` is given whatever was recorded; who brings it out gives way while `giving_way` lasts.
    `reconciled` is told, of each key group that has been
    compared, how many transitions were needed to make journal and state agree.

    Raises:
        OSError: the folder of what the job remembers cannot be made.
        StoreError: the membership store cannot be read.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        store: MembershipStore,
        *,
        wake: Callable[[Recorded], None] = ignore,
        giving_way: Callable[[], AbstractContextManager[None]] = nullcontext,
        reconciled: Reconciled = ignore,
        progress: Progress | None = None,
    ) -> None:
        self._loaded = loaded
        self._store = store
        self._reader = open_reader(loaded)
        usher_folder(loaded.root)
        self._dead_letters = loaded.root / DEAD_LETTERS
        self._claimed: set[KeyGroup] = set()
        self._wake = wake
        self.giving_way = giving_way
        self._reconciled = reconciled
        self.progress = progress or Progress()
        self.failure: Exception | None = None
        self._warming = WarmingNotes()

    def take(self, found: Sequence[GroupTransitions]) -> None:
        """Record transitions, and correct the journal where key groups came with their members.

        Raises:
            OwnerChanged: another process has claimed one of the key groups.
            StoreError: the membership store cannot be read or written.
        """
        batch: list[Proposals] = []
        for one in found:
            if len(one.transitions):
                batch.append(proposals_of(self._plan(one), one.group, one.transitions, one.pull))
            if one.members is not None:
                # What happened to the group after that moment must not be in the journal yet.
                self._record(batch)
                batch = []
                self._reconcile(one, one.members)
        self._record(batch)

    def _reconcile(self, found: GroupTransitions, members: Sequence[Member]) -> None:
        """Correct the journal where it differs from what the core says of a key group."""
        plan = self._plan(found)
        self._claim([(found.parent_model, found.group)])
        heads = self._reader.heads(found.parent_model, found.group)
        self._reconciled(self._record([corrections(plan, found.group, members, heads, found.tick)]))

    def _record(self, batch: Sequence[Proposals]) -> int:
        """Bring into the journal; return how many it accepted."""
        batch = [one for one in batch if len(one)]
        if not batch:
            return 0
        self._claim([(one.parent_model, one.key_group) for one in batch])
        recorded = self._store.record(batch, wall_clock())
        if recorded:
            self._wake(recorded)
            self._measure(recorded)
        return len(recorded)

    def _measure(self, recorded: Recorded) -> None:
        """Note how long after their instants transitions were recorded."""
        delays = {_BY_EVENT: self.progress.after_events, _BY_TIME: self.progress.after_windows}
        for _, _, _, _, effective_at, cause, _, _ in recorded.entries:
            if (found := delays.get(cause)) is not None:
                found.add((recorded.emitted_at - effective_at) / SECOND)

    def _claim(self, groups: Sequence[KeyGroup]) -> None:
        """Become the writer of these groups; once, because who has lost a claim has to stop."""
        if new := set(groups) - self._claimed:
            self._store.claim(new)
            self._claimed |= new

    def _plan(self, found: GroupTransitions) -> Plan:
        return self._loaded.project.plans[found.parent_model].plan

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what could not be understood.

        Raises:
            OSError: dead letters cannot be written.
        """
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
        append(self._dead_letters, msgspec.json.Encoder().encode_lines(records))

    def count(self, source: str, batch: Batch) -> None:
        counts = self.progress.counts
        counts.read += batch.received
        counts.ignored += batch.ignored
        counts.invalid += len(batch.dead_letters)
        reasons = [one.reason for one in batch.dead_letters]
        self.progress.count_source(source, batch.received, reasons)

    def count_evaluated(self, counts: Counts) -> None:
        self.progress.counts.add_evaluated(counts)

    def tell_time(self, clock: int, reached: Mapping[str, int], *, has_caught_up: bool) -> None:
        self.progress.tell_time(clock, reached, has_caught_up=has_caught_up)

    def failed(self, error: Exception) -> None:
        """Say that the job is about to stop, and why."""
        self.failure = error
        tell(Alarm(f"{error}; the job stops"))

    def warming(self, conditions: Mapping[str, int]) -> None:
        self._warming.add(conditions)

    def close(self) -> None:
        """Let go of everything but the store."""
        self._reader.close()
