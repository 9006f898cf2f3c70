"""Transitions of all key groups in one order that does not depend on who computed them.

Key groups are evaluated in blocks and perhaps by several workers, so their transitions come in
any order.  Every group also says how far it has come.  Once all of them have passed an instant,
nothing before it can be added: what lies before is put in order and let go.  Memory is bounded by
what one block causes.

The order is (effective_at, parent model, user, audience, sequence), texts by code point.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from connectors.arrow import to_arrow
from dataflows.steps import GroupTransitions
from engine.hashing import GROUPS
from engine.plan import Int32s, Int64s, Plan
from engine.transitions import NO_CONDITION, Cause, Transitions


class Chronicle:
    """Collects the transitions of some audiences and gives them back in order.

    What comes back numbers audiences and conditions as if those of the plans stood one after the
    other.  Where a pull is the cause, its number among the `pulls` stands behind all conditions.

    Args:
        audiences: Keys of those that are asked for; all if `None`.
        pulls: The versions of all snapshots but the first.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        audiences: Collection[str] | None = None,
        pulls: Sequence[str] = (),
    ) -> None:
        parents = [plan.parent_model for plan in plans]
        self._reached = {
            (parent, group): -(1 << 62) for parent in parents for group in range(GROUPS)
        }
        self._waiting: list[Transitions] = []
        firsts = accumulate((len(plan.audiences) for plan in plans), initial=0)
        self._first_audience = dict(zip(parents, firsts, strict=False))
        firsts = accumulate((len(plan.conditions) for plan in plans), initial=0)
        self._first_condition = dict(zip(parents, firsts, strict=False))
        conditions = sum(len(plan.conditions) for plan in plans)
        self._pull = {pull: conditions + number for number, pull in enumerate(pulls)}
        keys = [(plan.parent_model, one.key) for plan in plans for one in plan.audiences]
        self._wanted = np.array(
            [audiences is None or key in audiences for _, key in keys], dtype=np.bool_
        )
        self._audience_ranks = _ranks([key for _, key in keys])
        self._parent_ranks = _ranks([parent for parent, _ in keys])

    def add(self, one: GroupTransitions) -> Transitions | None:
        """Take in a group's transitions; return what is complete thereby, if anything is."""
        if len(one.transitions):
            numbered = self._numbered(one.transitions, one.parent_model, one.pull)
            wanted = self._wanted[numbered.audiences]
            if not wanted.all():
                numbered = numbered.taken(np.flatnonzero(wanted))
            self._waiting.append(numbered)
        before = min(self._reached.values())
        self._reached[one.parent_model, one.group] = one.tick
        after = min(self._reached.values())
        return self._complete(after) if after > before else None

    def _numbered(self, transitions: Transitions, parent: str, pull: str) -> Transitions:
        conditions = transitions.conditions
        expired = conditions != NO_CONDITION
        conditions = conditions + expired * np.int32(self._first_condition[parent])
        if pull in self._pull:
            conditions[transitions.causes == Cause.WAREHOUSE_PULL] = self._pull[pull]
        return replace(
            transitions,
            audiences=transitions.audiences + np.int32(self._first_audience[parent]),
            conditions=conditions,
        )

    def _complete(self, instant: int) -> Transitions | None:
        together = Transitions.concatenated(self._waiting)
        count = int((together.effective_at < instant).sum())
        if not count:
            return None
        order = self._order(together)
        self._waiting = [together.taken(order[count:])] if count < len(order) else []
        return together.taken(order[:count])

    def _order(self, transitions: Transitions) -> Int64s:
        columns = {
            "effective_at": transitions.effective_at,
            "parent_model": self._parent_ranks[transitions.audiences],
            # As bytes of UTF-8 texts have the order of their code points.
            "user": to_arrow(transitions.users, pa.large_binary()),
            "audience": self._audience_ranks[transitions.audiences],
            "sequence": transitions.sequences,
        }
        batch = pa.RecordBatch.from_pydict(columns)
        keys = [(name, "ascending") for name in columns]
        order: Int64s = pc.sort_indices(batch, sort_keys=keys).to_numpy().astype(np.int64)
        return order


def _ranks(texts: Sequence[str]) -> Int32s:
    """The place of each text among them all; of equal texts, the same."""
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return np.array([ranks[text] for text in texts], dtype=np.int32)
