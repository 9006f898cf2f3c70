"""Random streams of proposals, crashes and replays, against the plainest model of a journal.

The truth is a random stream of changes of a few users, many at one instant.  A job works through it
in batches; it crashes before or after a batch is recorded, goes on from a state that may be many
batches old, and a job that was thought dead tries to write.  Whatever happens, the journal is the
stream: every change once, in its order, numbered 1, 2, 3 …
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.transitions import Cause
from membership.errors import OwnerChanged
from membership.proposals import Proposals
from membership.reader import MembershipReader
from membership.store import MembershipStore
from tests.membership.places import Place, SqlitePlace
from tests.membership.stories import NOW

KEYS = ("keen", "quiet")
GROUPS = 2


class Change(NamedTuple):
    group: int
    user: str
    audience: int
    at: int
    sequence: int


def stream(draw: random.Random, length: int) -> list[Change]:
    """Changes in the order in which they happen; every user's alternate."""
    sequences: dict[tuple[str, int], int] = defaultdict(int)
    now = 0
    changes = []
    for _ in range(length):
        now += draw.choice((0, 0, 0, 1, 5))
        user, audience = draw.choice("abcdef"), draw.randrange(len(KEYS))
        sequences[user, audience] += 1
        changes.append(Change(ord(user) % GROUPS, user, audience, now, sequences[user, audience]))
    return changes


def batch_of(changes: list[Change]) -> list[Proposals]:
    batch = []
    for group in range(GROUPS):
        own = [one for one in changes if one.group == group]
        batch.append(
            Proposals(
                "users",
                group,
                KEYS,
                ("v1", "v2"),
                [one.user for one in own],
                [one.audience for one in own],
                [one.at for one in own],
                [one.sequence for one in own],
                [int(Cause.EVENT)] * len(own),
                [f"m{one.at}" for one in own],
            )
        )
    return batch


class Chaos:
    """Runs a stream through jobs that die; `seen` is what a reader has been shown, and when."""

    def __init__(self, place: Place, draw: random.Random) -> None:
        self._place = place
        self._draw = draw
        self._zombie: MembershipStore | None = None
        self.seen: dict[int, object] = {}

    def run(self, changes: list[Change]) -> None:
        draw = self._draw
        start = 0
        store, reader = self._start()
        while start < len(changes):
            end = min(len(changes), start + draw.randint(1, 8))
            if self._zombie is not None and draw.random() < 0.3:
                with pytest.raises(OwnerChanged):
                    self._zombie.record(batch_of(changes[: draw.randint(1, len(changes))]), NOW)
            if draw.random() < 0.15:  # dies before it could record
                store, reader = self._start(store)
            else:
                store.record(batch_of(changes[start:end]), NOW)
                start = end
            if draw.random() < 0.3:
                self.look(reader)
            if draw.random() < 0.25:  # dies, and its state is as old as it likes
                start = draw.randint(0, start)
                store, reader = self._start(store)
        self.look(reader)

    def look(self, reader: MembershipReader) -> None:
        entries = reader.transitions(limit=10_000).entries
        assert [one.position for one in entries] == list(range(1, len(entries) + 1))
        now = {one.position: one.record for one in entries}
        assert all(now.get(position) == record for position, record in self.seen.items())
        self.seen.update(now)

    def _start(
        self, before: MembershipStore | None = None
    ) -> tuple[MembershipStore, MembershipReader]:
        if before is not None:
            if self._zombie is not None:
                self._zombie.close()
            self._zombie = before
        return self._place.owner(*range(GROUPS)), self._place.reader()


def check(place: Place, seed: int) -> None:
    draw = random.Random(seed)
    changes = stream(draw, draw.randint(1, 60))
    Chaos(place, draw).run(changes)
    reader = place.reader()
    records = [one.record for one in reader.transitions(limit=10_000).entries]
    journal = defaultdict(list)
    for one in records:
        journal[one.user_id, one.audience].append(one)
    truth = defaultdict(list)
    for change in changes:
        truth[change.user, KEYS[change.audience]].append(change)
    assert journal.keys() == truth.keys()
    for key, recorded in journal.items():
        assert [one.sequence for one in recorded] == list(range(1, len(recorded) + 1))
        instants = [one.effective_at for one in recorded]
        assert instants == [f"1970-01-01T00:00:00.{one.at:06d}Z" for one in truth[key]]
        types = [one.type for one in recorded]
        assert types == (["entered", "exited"] * len(types))[: len(types)]
    assert len({one.id for one in records}) == len(records)
    members = {
        (one.user_id, key) for key in KEYS for one in reader.members("users", key, limit=100)
    }
    assert members == {key for key, story in truth.items() if len(story) % 2}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_the_journal_is_the_stream_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    place = SqlitePlace(tmp_path_factory.mktemp("chaos") / "store.db")
    try:
        check(place, seed)
    finally:
        place.close()


@pytest.mark.parametrize("seed", range(5))
def test_so_it_is_on_either_database(place: Place, seed: int) -> None:
    check(place, seed)


@given(
    proposed=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 6), st.integers(1, 6), st.sampled_from(Cause)
        ),
        max_size=40,
    ),
    cuts=st.sets(st.integers(1, 39), max_size=5),
)
def test_whatever_is_proposed_the_journal_alternates(
    tmp_path_factory: pytest.TempPathFactory,
    proposed: list[tuple[str, int, int, Cause]],
    cuts: set[int],
) -> None:
    store = SqlitePlace(tmp_path_factory.mktemp("rule") / "store.db").owner()
    heads: dict[str, tuple[int, int, int]] = {}
    expected = []
    for user, at, sequence, cause in proposed:
        count, instant, last = heads.get(user, (0, -1, 0))
        forced = cause is Cause.RECONCILED
        at_then = max(at, instant) if forced else at
        if (count + 1) % 2 == sequence % 2 and (forced or (at, sequence) > (instant, last)):
            heads[user] = (count + 1, at_then, sequence)
            expected.append((user, count + 1, at_then))
    found = []
    edges = [0, *sorted(cuts), 40]
    for start, end in pairwise(edges):
        part = proposed[start:end]
        given = Proposals(
            "users", 0, ("keen",), ("v1",), [one[0] for one in part], [0] * len(part),
            [one[1] for one in part], [one[2] for one in part], [int(one[3]) for one in part],
            [""] * len(part),
        )  # fmt: skip
        recorded = store.record([given], NOW)
        found += [one[2:5] for one in recorded.entries]
    store.close()
    assert found == expected
