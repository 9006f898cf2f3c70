"""Which users moved between two snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine import difference as module
from engine.difference import Rows, difference
from engine.inputs import Snapshot
from tests.engine.columns import plan_of, snapshot_of

PLAN = plan_of({}, absent=[False] * 70)

Bits = tuple[bool, ...]
# Some ids share a hash; no snapshot could tell them apart by that.
IDS = [f"u{number}" for number in range(24)]
HASHES = {user: number // 3 - 4 for number, user in enumerate(IDS)}
ROWS = st.dictionaries(
    st.sampled_from(IDS),
    st.sampled_from([0, 1, 64, 69]).map(lambda bit: tuple(one == bit for one in range(70))),
)


def snapshot(rows: Mapping[str, Sequence[bool]]) -> Snapshot:
    return snapshot_of(PLAN, rows, HASHES)


@given(old=ROWS, new=ROWS)
def test_everybody_who_moved_and_nobody_else(old: dict[str, Bits], new: dict[str, Bits]) -> None:
    before, after = snapshot(old), snapshot(new)
    found = difference(before, after, Rows(0, len(old)), Rows(0, len(new)))
    gone = [before.users.text(row) for row in found.gone.tolist()]
    moved = [after.users.text(row) for row in found.moved.tolist()]
    assert sorted(gone) == sorted(old.keys() - new.keys())
    assert sorted(moved) == sorted(user for user in new if old.get(user) != new[user])
    assert found.gone.tolist() == sorted(found.gone.tolist())
    assert found.moved.tolist() == sorted(found.moved.tolist())
    assert found.size == len(gone) + len(moved)


def test_more_than_one_walk_can_hand_over(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(module, "_FOUND_AT_ONCE", 2)
    everybody = snapshot(dict.fromkeys(IDS, (False,) * 70))
    nobody = snapshot({})
    assert difference(nobody, everybody, Rows(0, 0), Rows(0, 24)).moved.size == 24
    assert difference(everybody, nobody, Rows(0, 24), Rows(0, 0)).gone.size == 24
