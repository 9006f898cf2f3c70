"""Whoever follows the journal is told what its readers see, whoever has recorded it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from membership import tail as tails
from membership.facts import JournalEntry
from membership.reader import MembershipReader
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from membership.tail import JournalTail
from tests.membership.stories import NOW, proposals

AUDIENCES = ("keen", "vip")


class Desk:
    """A store, and one who follows each audience and one who follows all."""

    def __init__(self, path: Path, held: ExitStack) -> None:
        database = SqliteDatabase(path, writable=True)
        self._store = held.enter_context(closing(MembershipStore(database)))
        self._store.claim([("users", 0)])
        database = SqliteDatabase(path, writable=False)
        self.reader = held.enter_context(closing(MembershipReader(database)))
        self.tail = JournalTail(self.reader)
        self.came: dict[str | None, list[JournalEntry]] = {None: [], "keen": [], "vip": []}
        self._positions = dict.fromkeys(self.came, 0)
        self._users = 0

    def record(self, audiences: str, *, announced: bool) -> None:
        """An entry of somebody new into each, by its first letter."""
        batch = []
        for letter in audiences:
            audience = next(one for one in AUDIENCES if one.startswith(letter))
            batch.append(proposals(f"u{self._users}+1", audience=audience))
            self._users += 1
        recorded = self._store.record(batch, NOW)
        if announced:
            self.tail.announce(recorded)

    def read(self, audience: str | None) -> bool:
        """Go on once; whether there was anything."""
        before = self._positions[audience]
        found = self.tail.after(before, audience)
        self.came[audience] += found.entries
        self._positions[audience] = found.position
        return found.position > before

    def written(self, audience: str | None) -> list[JournalEntry]:
        return self.reader.transitions(0, limit=1_000, audience=audience).entries


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and memory of a few transitions."""
    monkeypatch.setattr(tails, "PAGE", 3)
    monkeypatch.setattr(tails, "_HELD", 7)
    monkeypatch.setattr(tails, "_HELD_FOR", 0.0)


@pytest.mark.usefixtures("small")
@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.text("kv", min_size=1, max_size=9), st.booleans()),
            st.sampled_from([None, *AUDIENCES]),
        ),
        max_size=30,
    )
)
def test_a_follower_is_told_what_the_journal_has(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, bool] | str | None],
) -> None:
    with ExitStack() as held:
        desk = Desk(tmp_path_factory.mktemp("desk") / "store.db", held)
        for step in steps:
            if isinstance(step, tuple):
                desk.record(step[0], announced=step[1])
            else:
                desk.read(step)
        desk.tail.look()
        for audience, came in desk.came.items():
            while desk.read(audience):
                pass
            assert came == desk.written(audience)


def test_a_follower_passes_over_what_is_of_others(tmp_path: Path) -> None:
    """A lane does not come back for each page of a large batch that has nothing for it."""
    with ExitStack() as held:
        desk = Desk(tmp_path / "store.db", held)
        for _ in range(40):
            desk.record("k" * 100, announced=True)
        desk.record("v", announced=True)
        assert desk.read("vip")
        assert [one.record.user_id for one in desk.came["vip"]] == ["u4000"]
        assert not desk.read("vip")


@pytest.mark.usefixtures("small")
def test_a_follower_who_is_behind_gives_way_and_one_who_is_not_goes_on(tmp_path: Path) -> None:
    with ExitStack() as held:
        desk = Desk(tmp_path / "store.db", held)
        desk.record("kkkvkkk", announced=True)
        behind = threading.Thread(target=desk.read, args=["keen"])
        with desk.tail.giving_way():
            behind.start()
            assert desk.read("vip")
            behind.join(0.05)
            assert not desk.came["keen"]
        behind.join()
        assert len(desk.came["keen"]) >= 3
