"""What comes out of the core: transitions, as columns.

A transition is the change of one user's membership in one audience at one exact instant.  The
columns carry what the core knows; `engine.records` turns them into the records that the world
sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from engine.plan import Int8s, Int32s, Int64s


class Cause(IntEnum):
    """Why a transition happened."""

    EVENT = 0
    WINDOW_EXPIRED = 1
    WAREHOUSE_PULL = 2
    DEFINITION_CHANGED = 3
    INITIAL = 4
    MERGED = 5
    RECONCILED = 6


# The two that kernels set themselves.
EVENT_CAUSE = int(Cause.EVENT)
WINDOW_CAUSE = int(Cause.WINDOW_EXPIRED)

# `Transitions.conditions` where no condition is the cause.
NO_CONDITION = -1


@dataclass(frozen=True, slots=True)
class Transitions:
    """One entry a transition in every column; for one user in the order in which they happened."""

    user_ids: list[str]
    audiences: Int32s  # numbers of `Plan.audiences`
    effective_at: Int64s  # microseconds since 1970 UTC
    sequences: Int32s  # odd: entered, even: exited
    causes: Int8s
    conditions: Int32s  # what expired, number of `Plan.conditions`, or NO_CONDITION
    message_ids: list[str]  # of the event that caused it, or ""

    def __len__(self) -> int:
        return len(self.user_ids)

    @classmethod
    def concatenated(cls, parts: Sequence[Transitions]) -> Transitions:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return NO_TRANSITIONS
        return cls(
            [user_id for part in parts for user_id in part.user_ids],
            np.concatenate([part.audiences for part in parts]),
            np.concatenate([part.effective_at for part in parts]),
            np.concatenate([part.sequences for part in parts]),
            np.concatenate([part.causes for part in parts]),
            np.concatenate([part.conditions for part in parts]),
            [message_id for part in parts for message_id in part.message_ids],
        )

    def taken(self, rows: Int64s) -> Transitions:
        """The given rows, in the given order."""
        wanted = rows.tolist()
        return Transitions(
            [self.user_ids[row] for row in wanted],
            self.audiences[rows],
            self.effective_at[rows],
            self.sequences[rows],
            self.causes[rows],
            self.conditions[rows],
            [self.message_ids[row] for row in wanted],
        )


NO_TRANSITIONS = Transitions(
    [],
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.int8),
    np.empty(0, dtype=np.int32),
    [],
)
