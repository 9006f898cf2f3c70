"""Transitions of all key groups in one order that does not depend on who computed them.

Key groups are evaluated in blocks and perhaps by several workers, so their transitions come in
any order.  Every group also says how far it has come.  Once all of them have passed an instant,
nothing before it can be added: what lies before is put in order and let go.  Memory is bounded by
what one block causes.

The order is (effective_at, parent model, user, audience, sequence), texts by code point.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from audience_dsl.definitions import ParentPlan
from dataflows.steps import GroupTransitions
from engine.hashing import GROUPS
from engine.plan import Int64s
from engine.records import TransitionRecord, transition_records
from engine.transitions import Transitions


@dataclass(frozen=True, slots=True)
class Stretch:
    """Transitions of a stretch of time, in order: place i is `rows[i]` of part `parts[i]`."""

    columns: tuple[tuple[str, Transitions], ...]  # parent model and its transitions
    parts: Int64s
    rows: Int64s

    def records(self, plans: Mapping[str, ParentPlan]) -> list[TransitionRecord]:
        by_part = [
            transition_records(plans[parent].plan, transitions)
            for parent, transitions in self.columns
        ]
        if len(by_part) == 1:
            (records,) = by_part
            return [records[row] for row in self.rows.tolist()]
        return [
            by_part[part][row]
            for part, row in zip(self.parts.tolist(), self.rows.tolist(), strict=True)
        ]


class Chronicle:
    """Collects the transitions of some audiences and gives them back in order.

    Args:
        audiences: Keys of those that are asked for; all if `None`.
    """

    def __init__(
        self, plans: Mapping[str, ParentPlan], audiences: Collection[str] | None = None
    ) -> None:
        self._plans = plans
        self._reached = {(parent, group): -(1 << 62) for parent in plans for group in range(GROUPS)}
        self._waiting: dict[str, list[Transitions]] = {parent: [] for parent in plans}
        self._wanted = {
            parent: np.array(
                [audiences is None or audience.key in audiences for audience in one.plan.audiences],
                dtype=np.bool_,
            )
            for parent, one in plans.items()
        }

    def add(self, one: GroupTransitions) -> Stretch | None:
        """Take in a group's transitions; return what is complete thereby, if anything is."""
        transitions = one.transitions
        if len(transitions):
            wanted = self._wanted[one.parent_model][transitions.audiences]
            if not wanted.all():
                transitions = transitions.taken(np.flatnonzero(wanted))
            if len(transitions):
                self._waiting[one.parent_model].append(transitions)
        before = min(self._reached.values())
        self._reached[one.parent_model, one.group] = one.tick
        after = min(self._reached.values())
        return self._complete(after) if after > before else None

    def _complete(self, instant: int) -> Stretch | None:
        columns = []
        for parent, waiting in self._waiting.items():
            together = Transitions.concatenated(waiting)
            ready = together.effective_at < instant
            if not ready.any():
                continue
            if ready.all():
                waiting.clear()
            else:
                waiting[:] = [together.taken(np.flatnonzero(~ready))]
                together = together.taken(np.flatnonzero(ready))
            columns.append((parent, together))
        return self._ordered(columns) if columns else None

    def _ordered(self, columns: Iterable[tuple[str, Transitions]]) -> Stretch:
        columns = tuple(columns)
        parts = np.repeat(np.arange(len(columns)), [len(one) for _, one in columns])
        rows = np.concatenate([np.arange(len(one)) for _, one in columns])
        instants = np.concatenate([one.effective_at for _, one in columns])
        order = np.argsort(instants, kind="stable")
        instants = instants[order]
        edges = np.flatnonzero(np.diff(instants, prepend=instants[0] - 1, append=instants[-1] + 1))

        def key(place: int) -> tuple[str, str, str, int]:
            parent, transitions = columns[parts[place]]
            row = rows[place]
            audience = self._plans[parent].plan.audiences[transitions.audiences[row]].key
            return parent, transitions.user_ids[row], audience, int(transitions.sequences[row])

        for first, end in pairwise(edges.tolist()):
            if end - first > 1:
                order[first:end] = sorted(order[first:end].tolist(), key=key)
        return Stretch(columns, parts[order], rows[order])
