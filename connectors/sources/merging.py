"""Several readings of the same records, as one column of events a parent model.

Event models of one parent may take the user, the instant or the message id from different fields.
A record then is one event for each distinct answer, counted by all conditions that give it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from connectors.sources.matching import ConditionSets
from engine.plan import Int32s, Int64s
from engine.texts import Texts


class Events(NamedTuple):
    """Events of one parent model in the order of their records, which are told by `rows`."""

    rows: Int64s
    users: Texts
    instants: Int64s
    message_ids: Texts
    sets: Int32s


def merge(parts: Sequence[Events], sets: ConditionSets) -> Events:
    """The events of all parts in the order of their records, equal ones as one."""
    if len(parts) == 1:
        return parts[0]
    events = Events(
        np.concatenate([part.rows for part in parts]),
        Texts.concatenated([part.users for part in parts]),
        np.concatenate([part.instants for part in parts]),
        Texts.concatenated([part.message_ids for part in parts]),
        np.concatenate([part.sets for part in parts]),
    )
    first_of: dict[tuple[int, str, int, str], int] = {}
    numbers = events.sets.copy()
    kept = []
    for i in np.argsort(events.rows, kind="stable").tolist():
        event = int(events.rows[i]), events.users.text(i), int(events.instants[i])
        first = first_of.setdefault((*event, events.message_ids.text(i)), i)
        if first == i:
            kept.append(i)
        else:
            both = {*sets.conditions(int(numbers[first])), *sets.conditions(int(numbers[i]))}
            numbers[first] = sets.number(tuple(sorted(both)))
    order = np.array(kept, dtype=np.int64)
    return Events(
        events.rows[order],
        events.users.taken(order),
        events.instants[order],
        events.message_ids.taken(order),
        numbers[order],
    )
