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

from engine.compiled import kernel
from engine.plan import Int8s, Int32s, Int64s
from engine.state import Records, State
from engine.texts import Texts


class Cause(IntEnum):
    """Why a transition happened."""

    EVENT = 0
    WINDOW_EXPIRED = 1
    WAREHOUSE_PULL = 2
    DEFINITION_CHANGED = 3
    INITIAL = 4
    MERGED = 5
    RECONCILED = 6


# Those that kernels set themselves.
EVENT_CAUSE = int(Cause.EVENT)
WINDOW_CAUSE = int(Cause.WINDOW_EXPIRED)
DEFINITION_CAUSE = int(Cause.DEFINITION_CHANGED)

# `Transitions.conditions` where no condition is the cause.
NO_CONDITION = -1


@dataclass(frozen=True, slots=True)
class Transitions:
    """One entry a transition in every column; for one user in the order in which they happened."""

    users: Texts
    audiences: Int32s  # numbers of `Plan.audiences`
    effective_at: Int64s  # microseconds since 1970 UTC
    sequences: Int32s  # odd: entered, even: exited
    causes: Int8s
    conditions: Int32s  # what expired, number of `Plan.conditions`, or NO_CONDITION
    message_ids: Texts  # of the event that caused it, or empty

    def __len__(self) -> int:
        return len(self.effective_at)

    @classmethod
    def concatenated(cls, parts: Sequence[Transitions]) -> Transitions:
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return NO_TRANSITIONS
        return cls(
            Texts.concatenated([part.users for part in parts]),
            np.concatenate([part.audiences for part in parts]),
            np.concatenate([part.effective_at for part in parts]),
            np.concatenate([part.sequences for part in parts]),
            np.concatenate([part.causes for part in parts]),
            np.concatenate([part.conditions for part in parts]),
            Texts.concatenated([part.message_ids for part in parts]),
        )

    def taken(self, rows: Int64s) -> Transitions:
        """The given rows, in the given order."""
        return Transitions(
            self.users.taken(rows),
            self.audiences[rows],
            self.effective_at[rows],
            self.sequences[rows],
            self.causes[rows],
            self.conditions[rows],
            self.message_ids.taken(rows),
        )

    def between(self, first: int, end: int) -> Transitions:
        """Rows `first` … `end - 1`, sharing memory."""
        return Transitions(
            self.users.between(first, end),
            self.audiences[first:end],
            self.effective_at[first:end],
            self.sequences[first:end],
            self.causes[first:end],
            self.conditions[first:end],
            self.message_ids.between(first, end),
        )


NO_TRANSITIONS = Transitions(
    Texts.of([]),
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.int64),
    np.empty(0, dtype=np.int32),
    np.empty(0, dtype=np.int8),
    np.empty(0, dtype=np.int32),
    Texts.of([]),
)


def transitions_of(emitted: Records, state: State, message_ids: Texts) -> Transitions:
    """What kernels have written down (`engine.evaluate.EMITTED`), as columns of their own.

    Args:
        message_ids: Of the inputs that the kernels have been given.
    """
    count = emitted.size
    audiences, sequences, conditions = (np.empty(count, dtype=np.int32) for _ in range(3))
    effective_at, user_begins, id_begins = (np.empty(count, dtype=np.int64) for _ in range(3))
    user_starts, id_starts = (np.zeros(count + 1, dtype=np.int64) for _ in range(2))
    causes = np.empty(count, dtype=np.int8)
    _fill_columns(
        emitted,
        state.users,
        message_ids.starts,
        audiences,
        effective_at,
        sequences,
        causes,
        conditions,
        user_begins,
        user_starts,
        id_begins,
        id_starts,
    )
    return Transitions(
        Texts.cut(state.ids, user_begins, user_starts),
        audiences,
        effective_at,
        sequences,
        causes,
        conditions,
        Texts.cut(message_ids.data, id_begins, id_starts),
    )


@kernel
def _fill_columns(
    emitted: Records,
    users: Records,
    message_starts: Int64s,
    audiences: Int32s,
    effective_at: Int64s,
    sequences: Int32s,
    causes: Int8s,
    conditions: Int32s,
    user_begins: Int64s,
    user_starts: Int64s,
    id_begins: Int64s,
    id_starts: Int64s,
) -> None:
    for row in range(audiences.size):
        audiences[row] = emitted.audience[row]
        effective_at[row] = emitted.effective_at[row]
        sequences[row] = emitted.sequence[row]
        causes[row] = emitted.cause[row]
        user = emitted.user[row]
        user_begins[row] = users.id_start[user]
        user_starts[row + 1] = user_starts[row] + users.id_length[user]
        conditions[row] = emitted.reference[row]
        id_begins[row] = 0
        id_starts[row + 1] = id_starts[row]
        if emitted.cause[row] == EVENT_CAUSE:
            conditions[row] = NO_CONDITION
            event = emitted.reference[row]
            id_begins[row] = message_starts[event]
            id_starts[row + 1] += message_starts[event + 1] - message_starts[event]
