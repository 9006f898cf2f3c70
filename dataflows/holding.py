"""Inputs that wait for a switch, as they are stored.

They have left their sources and have not reached the key groups, so they are nowhere but in the
clock when an epoch closes.  Inputs say by number which conditions count them.  A job may go on
with other definitions, so what is stored also says which events each number stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from dataflows.seals import BrokenSeal, sealed, unsealed
from dataflows.wire import packed, unpacked
from engine.carrying import series_name
from engine.inputs import Inputs
from engine.plan import Lists, Plan

Held = Sequence[Mapping[str, Inputs]]  # batches, by parent model, in their order


class _Stored(msgspec.Struct, frozen=True):
    batches: list[dict[str, bytes]]
    events: dict[str, list[tuple[str, str]]]  # that each condition of a parent model counts


def to_bytes(held: Held, plans: Mapping[str, Plan]) -> bytes:
    """Nothing for nothing."""
    if not held:
        return b""
    batches = [{parent: packed(one) for parent, one in batch.items()} for batch in held]
    events = {
        parent: [series_name(condition) for condition in plan.conditions]
        for parent, plan in plans.items()
    }
    return sealed(msgspec.msgpack.encode(_Stored(batches, events)))


def check(stored: bytes) -> None:
    """Raises `BrokenSeal` if these bytes are not as they were stored."""
    if stored:
        unsealed(stored)


def from_bytes(stored: bytes, plans: Mapping[str, Plan]) -> list[dict[str, Inputs]]:
    """What was held, for the conditions of these plans; what no model listens to is left out.

    Raises:
        BrokenSeal: the bytes are not as they were stored.
    """
    if not stored:
        return []
    try:
        found = msgspec.msgpack.decode(unsealed(stored), type=_Stored)
    except msgspec.MsgspecError as error:
        raise BrokenSeal(f"what waited for a switch cannot be read: {error}") from error
    return [
        {
            parent: _renumbered(unpacked(data), found.events[parent], plans[parent])
            for parent, data in batch.items()
            if parent in plans
        }
        for batch in found.batches
    ]


def _renumbered(inputs: Inputs, events: Sequence[tuple[str, str]], plan: Plan) -> Inputs:
    """The inputs with the plan's numbers of those conditions that count the same events."""
    names = [series_name(condition) for condition in plan.conditions]
    if names == list(events):
        return inputs
    counted = [{number for number, name in enumerate(names) if name == one} for one in events]
    sets = inputs.sets
    lists = [
        sorted(set().union(*(counted[number] for number in sets.items[first:end].tolist())))
        for first, end in zip(sets.starts[:-1].tolist(), sets.starts[1:].tolist(), strict=True)
    ]
    return inputs._replace(sets=Lists.of(lists))
