"""What the store tells, on both databases."""

from __future__ import annotations

import numpy as np
import pytest

from engine.hashing import groups_of, stable_hashes
from engine.texts import Texts
from membership.errors import PositionAhead, PositionPruned
from membership.retention import Retention
from tests.membership.places import Place
from tests.membership.stories import NOW, SECOND, journal, proposals, told


def group_of(user: str) -> int:
    return int(np.asarray(groups_of(stable_hashes(Texts.of([user]))))[0])


def test_members_are_those_who_entered_last(place: Place) -> None:
    place.owner().record([proposals("cat+1 ann+2 ben+3 ann-4 cat-5 cat+6")], NOW)
    found = place.reader().members("users", "keen")
    assert [(one.user_id, one.since, one.sequence) for one in found] == [
        ("ben", "1970-01-01T00:00:03.000000Z", 1),
        ("cat", "1970-01-01T00:00:06.000000Z", 3),
    ]
    assert found[1].cause == {"kind": "event", "message_id": "m6"}
    assert (found[1].parent_model, found[1].audience) == ("users", "keen")


def test_members_come_in_pages(place: Place) -> None:
    place.owner(0, 1).record([proposals("a+1 c+1 e+1"), proposals("b+1 d+1", group=1)], NOW)
    reader = place.reader()
    after, found = None, []
    while page := reader.members("users", "keen", after, limit=2):
        found += [one.user_id for one in page]
        after = page[-1].user_id
    assert found == list("abcde")


def test_an_audience_that_nobody_knows_has_no_members(place: Place) -> None:
    place.owner().record([proposals("ann+1")], NOW)
    reader = place.reader()
    assert reader.members("users", "other") == []
    assert reader.members("accounts", "keen") == []


def test_the_memberships_of_a_user(place: Place) -> None:
    group = group_of("ann")
    store = place.owner(group)
    store.claim([("accounts", group)])
    for audience, parent_model, story in (
        ("keen", "users", "ann+1 ann-2"),
        ("vip", "users", "ann+3"),
        ("big", "users", "ann+4"),
        ("big", "accounts", "ann+5"),
    ):
        given = proposals(story, audience=audience, parent_model=parent_model, group=group)
        store.record([given], NOW)
    reader = place.reader()
    found = [(one.parent_model, one.audience) for one in reader.memberships("ann")]
    assert found == [("accounts", "big"), ("users", "big"), ("users", "vip")]
    assert [one.audience for one in reader.memberships("ann", "users")] == ["big", "vip"]
    assert reader.memberships("nobody") == []


def test_counts(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ben+1 cat+1 cat-2"), proposals("ann+1", audience="vip")], NOW)
    store.record([proposals("ann+1 ann-2", audience="gone")], NOW)
    reader = place.reader()
    assert reader.counts("users") == {"keen": 2, "vip": 1}
    assert reader.counts("accounts") == {}


def test_heads_of_a_key_group_are_for_comparing_with_its_state(place: Place) -> None:
    store = place.owner(0, 1)
    story = " ".join(f"u{number}+{number}" for number in range(2_500))
    store.record([proposals(story + " u7-9000"), proposals("zoe+1", group=1)], NOW)
    heads = list(place.reader().heads("users", 0))
    assert len(heads) == 2_500
    assert [one.user_id for one in heads] == sorted(one.user_id for one in heads)
    assert next(one for one in heads if one.user_id == "u7") == (
        "u7", "keen", 2, 9_000 * SECOND,
    )  # fmt: skip
    assert list(place.reader().heads("accounts", 0)) == []


def test_the_journal_in_pages(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ben+1 ann-2")], NOW)
    store.record([proposals("cat+3 ann+4@3")], NOW)
    reader = place.reader()
    first = reader.transitions(limit=2)
    assert (told(first.entries), first.position) == ("ann+1#1 ben+1#1", 2)
    second = reader.transitions(first.position, limit=10)
    assert (told(second.entries), second.position) == ("ann-2#2 cat+3#1 ann+4#3", 5)
    assert reader.transitions(second.position) == ([], 5)
    store.record([proposals("ben-9")], NOW)
    assert told(reader.transitions(second.position).entries) == "ben-9#2"


def test_the_journal_of_one_user_or_audience(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ben+1 ann-2"), proposals("ann+3", audience="vip")], NOW)
    reader = place.reader()
    assert told(reader.transitions(user_id="ann").entries) == "ann+1#1 ann-2#2 ann+3#1"
    assert told(reader.transitions(audience="keen", user_id="ann").entries) == "ann+1#1 ann-2#2"
    assert reader.transitions(audience="other") == ([], 4)
    page = reader.transitions(user_id="ann", limit=1)
    assert told(reader.transitions(page.position, user_id="ann", limit=1).entries) == "ann-2#2"


def test_pruning_by_rows(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ann-2 ann+3 ann-4 ann+5")], NOW)
    assert store.prune(Retention(keep_rows=2), NOW) == 3
    assert store.prune(Retention(keep_rows=2), NOW) == 0
    reader = place.reader()
    assert journal(reader) == "ann-4#4 ann+5#5"
    assert [one.sequence for one in reader.members("users", "keen")] == [5]


def test_pruning_by_age(place: Place) -> None:
    store = place.owner()
    for second in (1, 2, 3):
        store.record([proposals(f"u{second}+1")], NOW + second * SECOND)
    assert store.prune(Retention(keep_for=5 * SECOND), NOW + 6 * SECOND) == 0
    assert store.prune(Retention(keep_for=5 * SECOND), NOW + 7 * SECOND) == 1
    assert store.prune(Retention(), NOW + 1_000 * SECOND) == 0
    assert store.prune(Retention(keep_for=5 * SECOND), NOW + 1_000 * SECOND) == 2
    assert [one.user_id for one in place.reader().members("users", "keen")] == ["u1", "u2", "u3"]


def test_positions_and_sequences_go_on_after_everything_was_pruned(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ann-2")], NOW)
    store.prune(Retention(keep_rows=0), NOW)
    reader = place.reader()
    assert (journal(reader), reader.end()) == ("", 2)
    (entry,) = store.record([proposals("ann+3@3")], NOW).journal_entries()
    assert (entry.position, entry.record.sequence) == (3, 3)
    assert journal(reader) == "ann+3#3"


def test_nothing_undelivered_is_pruned(place: Place) -> None:
    store = place.owner()
    cursors = store.cursors
    assert cursors.open(["slow"]) == {"slow": 0}
    store.record([proposals("ann+1 ann-2 ann+3")], NOW)
    assert cursors.open(["quick"]) == {"quick": 3}
    assert store.prune(Retention(keep_rows=0), NOW) == 0
    cursors.advance({"slow": 2})
    cursors.advance({"slow": 1})
    assert cursors.all() == {"quick": 3, "slow": 2}
    assert store.prune(Retention(keep_rows=0), NOW) == 2
    cursors.forget("slow")
    assert store.prune(Retention(keep_rows=0), NOW) == 1
    assert cursors.open(["quick"]) == {"quick": 3}


def test_a_reader_that_was_left_behind_is_told(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ann-2 ann+3")], NOW)
    store.prune(Retention(keep_rows=1), NOW)
    reader = place.reader()
    with pytest.raises(PositionPruned, match="position 1; the oldest transition kept is at posi"):
        reader.transitions(1)
    assert told(reader.transitions(2).entries) == "ann+3#3"
    assert reader.position_before(10) == 2


def test_a_reader_with_a_position_of_another_journal_is_told(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+1 ann-2")], NOW)
    reader = place.reader()
    assert told(reader.transitions(2).entries) == ""
    with pytest.raises(PositionAhead, match="ends at position 2, before position 3: the store was"):
        reader.transitions(3)


def test_much_is_pruned_in_small_parts(place: Place) -> None:
    store = place.owner()
    users = 12_000
    store.record([proposals(" ".join(f"u{user}+1" for user in range(users)))], NOW)
    assert store.prune(Retention(keep_rows=10), NOW) == users - 10


def test_the_audiences_of_many(place: Place) -> None:
    users = [f"user{number}" for number in range(200)]
    groups = groups_of(stable_hashes(Texts.of(users))).tolist()
    store = place.owner(*sorted(set(groups)))
    store.record(
        [proposals(f"{user}+1", group=group) for user, group in zip(users, groups, strict=True)],
        NOW,
    )
    store.record([proposals("user7-2@2", group=groups[7])], NOW)
    store.record([proposals("user9+1", group=groups[9], audience="also")], NOW)
    reader = place.reader()
    found = reader.audiences_of("users", [*users, "nobody", "nul\0", "user9"])
    expected = [["keen"] for _ in users]
    expected[7], expected[9] = [], ["also", "keen"]
    assert found == [*expected, [], [], ["also", "keen"]]
    assert reader.audiences_of("others", ["user1"]) == [[]]
    assert reader.audiences_of("users", []) == []


def test_a_search_looks_no_further_than_it_may(place: Place) -> None:
    store = place.owner()
    store.record([proposals(" ".join(f"ann{'+-'[n % 2]}{n}" for n in range(9)) + " ben+1")], NOW)
    reader = place.reader()
    page = reader.transitions(user_id="ben", within=4)
    assert (page.entries, page.position) == ([], 4)
    page = reader.transitions(4, user_id="ben", within=100)
    assert (len(page.entries), page.position) == (1, 10)
    assert reader.transitions(2, within=3).position == 5
