"""Who is a member without any event.

With empty windows the outcome of every audience depends on the warehouse's predicate bits alone,
and few combinations of bits occur in a snapshot.  So the initial population of millions of users
needs one evaluation a combination.
"""

from __future__ import annotations

import numpy as np

from engine.compiled import kernel
from engine.plan import ACCEPT, AUDIENCE, EVENT, Int8s, Int64s, Lists, PlanArrays


def members_at_rest(plan: PlanArrays, patterns: Int64s) -> Lists:
    """For each row of predicate words, the audiences that hold with empty windows."""
    holding = np.zeros((patterns.shape[0], plan.entry.size), dtype=np.int8)
    _evaluate_at_rest(plan, patterns, holding)
    rows, audiences = np.nonzero(holding)
    starts = np.zeros(patterns.shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=patterns.shape[0]), out=starts[1:])
    return Lists(starts, audiences.astype(np.int32))


@kernel
def _evaluate_at_rest(plan: PlanArrays, patterns: Int64s, holding: Int8s) -> None:
    for row in range(patterns.shape[0]):
        for audience in range(plan.entry.size):
            leaf = int(plan.entry[audience])
            while leaf >= 0:
                operand = int(plan.leaves.operand[leaf])
                if plan.leaves.kind[leaf] == EVENT:
                    truth = ((int(plan.truths_at_rest[operand >> 6]) >> (operand & 63)) & 1) == 1
                elif plan.leaves.kind[leaf] == AUDIENCE:
                    truth = holding[row, operand] == 1
                else:
                    truth = ((int(patterns[row, operand >> 6]) >> (operand & 63)) & 1) == 1
                leaf = int(plan.leaves.if_true[leaf]) if truth else int(plan.leaves.if_false[leaf])
            if leaf == ACCEPT:
                holding[row, audience] = 1
