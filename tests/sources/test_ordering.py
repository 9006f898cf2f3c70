"""Events in the order of arrival: the same from memory and from disk."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.ordering import Ordering
from engine.hashing import groups_of, stable_hashes
from engine.inputs import Inputs
from engine.plan import Lists
from engine.texts import Texts

_events = st.tuples(st.integers(0, 5), st.text(max_size=3), st.text(max_size=3), st.integers(0, 2))
_batches = st.lists(
    st.dictionaries(
        st.sampled_from(["users", "accounts"]), st.lists(_events, min_size=1), max_size=2
    ),
    max_size=5,
)


def inputs_of(events, sets):
    users, ids = (Texts.of([event[n] for event in events]) for n in (1, 2))
    arrivals = np.array([event[0] for event in events], dtype=np.int64)
    return Inputs(
        users,
        stable_hashes(users),
        arrivals - 1,
        arrivals,
        ids,
        stable_hashes(ids),
        np.array([event[3] for event in events], dtype=np.int32),
        Lists.of(sets),
        np.array([event[3] > 0 for event in events]),
    )


def by_user(events):
    """The events of each user, in their order."""
    users: dict[str, list[Any]] = {}
    for event in events:
        users.setdefault(event[2], []).append(event)
    return users


def ordered(batches, rows, **options):
    """The events of each user as tuples, checked to be arranged by time and key group."""
    found: dict[str, list[Any]] = {"users": [], "accounts": []}
    reached = []
    with Ordering(**options) as ordering:
        for number, batch in enumerate(batches):
            # Each batch numbers its sets in its own way.
            sets = [(), (0,), (0, 3)] if number % 2 else [(0,), (5,), (0, 3), (7,)]
            ordering.add({parent: inputs_of(events, sets) for parent, events in batch.items()})
        for block, up_to in ordering.blocks(rows):
            reached.append(up_to)
            assert sum(one.size for one in block.values()) <= rows
            for parent, one in block.items():
                assert one.user_hashes.tolist() == stable_hashes(one.users).tolist()
                assert one.message_hashes.tolist() == stable_hashes(one.message_ids).tolist()
                assert (one.arrivals <= up_to).all()
                assert (np.diff(groups_of(one.user_hashes)) >= 0).all()
                if len(reached) > 1:
                    assert (one.arrivals >= reached[-2]).all()
                for i in range(one.size):
                    number = int(one.condition_sets[i])
                    bounds = one.sets.starts[number : number + 2]
                    found[parent].append(
                        (
                            int(one.arrivals[i]),
                            int(one.timestamps[i]),
                            one.users.text(i),
                            one.message_ids.text(i),
                            tuple(one.sets.items[bounds[0] : bounds[1]].tolist()),
                            bool(one.tallied[i]),
                        )
                    )
    assert reached == sorted(reached)
    return {parent: by_user(events) for parent, events in found.items()}


def expected(batches):
    found: dict[str, list[Any]] = {"users": [], "accounts": []}
    for number, batch in enumerate(batches):
        sets = [(), (0,), (0, 3)] if number % 2 else [(0,), (5,), (0, 3), (7,)]
        for parent, events in batch.items():
            for arrival, user, message_id, which in events:
                event = (arrival, arrival - 1, user, message_id, sets[which], which > 0)
                found[parent].append(event)
    return {
        parent: by_user(sorted(events, key=lambda one: one[0])) for parent, events in found.items()
    }


@given(_batches, st.integers(1, 10))
def test_events_come_out_in_order(batches, rows):
    assert ordered(batches, rows) == expected(batches)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_from_disk_is_the_same(tmp_path, seed):
    random = np.random.default_rng(seed)
    batches = [
        {
            parent: [
                (
                    int(random.integers(50)),
                    f"ü{random.integers(9)}\x00",
                    f"m{n}",
                    int(random.integers(3)),
                )
                for n in range(300)
            ]
            for parent in ("users", "accounts")
        }
        for _ in range(9)
    ]
    from_disk = ordered(batches, 100, memory=1, folder=tmp_path)
    assert from_disk == ordered(batches, 100) == expected(batches)
    assert list(tmp_path.iterdir()) == []  # nothing is left behind


def test_nothing_in_nothing_out():
    assert list(Ordering().blocks(10)) == []
