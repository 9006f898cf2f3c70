"""The journal's rule, on both databases: what is recorded, and what is left out."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from engine.records import transition_ids
from engine.transitions import Cause
from membership.errors import OwnerChanged
from membership.job_note import JobNote, JobNotes
from tests.membership.places import Place
from tests.membership.stories import NOW, SECOND, journal, proposals, told


def test_entries_and_exits_are_numbered(place: Place) -> None:
    store = place.owner()
    recorded = store.record([proposals("ann+1 ben+2 ann-3")], NOW)
    assert told(recorded.journal_entries()) == "ann+1#1 ben+2#1 ann-3#2"
    assert [one.position for one in recorded.journal_entries()] == [1, 2, 3]


def test_a_reader_sees_what_recording_returned(place: Place) -> None:
    store = place.owner()
    recorded = store.record([proposals("ann+1 ann-3")], NOW)
    entries = place.reader().transitions().entries
    assert entries == recorded.journal_entries()
    first = entries[0].record
    assert first.id == transition_ids("users", "keen")("ann", 1, 1 * SECOND)
    assert (first.type, first.audience, first.audience_version) == ("entered", "keen", "v1")
    assert first.cause == {"kind": "event", "message_id": "m1"}
    assert first.emitted_at == "1970-01-01T00:16:40.000000Z"


def test_what_an_event_brings_along_is_recorded_with_its_transition(place: Place) -> None:
    store = place.owner()
    given = replace(proposals("ann+1 ann-2"), details=['m1\x1f{"path":"/a\\u0000"}', "m2"])
    entries = store.record([given], NOW).journal_entries()
    assert [one.event for one in entries] == ['{"path":"/a\\u0000"}', None]
    assert entries[0].record.cause == {"kind": "event", "message_id": "m1"}
    assert place.reader().transitions().entries == entries
    assert place.reader().memberships("ann") == []


def test_the_first_recorded_wins(place: Place) -> None:
    store = place.owner()
    for path in "ab":
        store.record([replace(proposals("ann+1"), details=[f'm\x1f{{"path":"{path}"}}'])], NOW)
    (entry,) = place.reader().transitions().entries
    assert entry.event == '{"path":"a"}'


def test_nothing_proposed_is_nothing_recorded(place: Place) -> None:
    store = place.owner()
    assert len(store.record([], NOW)) == 0
    assert len(store.record([proposals("")], NOW)) == 0
    assert place.reader().end() == 0


@pytest.mark.parametrize(
    ("recorded", "replayed", "then"),
    [
        ("ann+1 ann-2", "ann+1 ann-2", "ann+1#1 ann-2#2"),
        ("ann+1 ann-2", "ann-2", "ann+1#1 ann-2#2"),
        ("ann+1 ann-2", "ann-2 ann+3", "ann+1#1 ann-2#2 ann+3#3"),
        ("ann+1 ann-2 ann+3", "ann+1 ann-2 ann+3 ann-4", "ann+1#1 ann-2#2 ann+3#3 ann-4#4"),
        ("ann+1", "ben+1 ann+1 ben-2", "ann+1#1 ben+1#1 ben-2#2"),
    ],
)
def test_replays_change_nothing(place: Place, recorded: str, replayed: str, then: str) -> None:
    store = place.owner()
    store.record([proposals(recorded)], NOW)
    store.record([proposals(replayed)], NOW + SECOND)
    assert journal(place.reader()) == then


def test_several_transitions_at_one_instant_are_each_recorded_once(place: Place) -> None:
    store = place.owner()
    once = "ann+5#1 ann-5#2 ann+5#3"
    store.record([proposals("ann+5 ann-5")], NOW)
    # The state that it goes on from knew of nothing, or of the first one.
    store.record([proposals("ann+5 ann-5 ann+5")], NOW)
    assert journal(place.reader()) == once
    store.record([proposals("ann-5@2 ann+5")], NOW)
    store.record([proposals("ann+5 ann-5 ann+5")], NOW)
    assert journal(place.reader()) == once
    store.record([proposals("ann-5@4")], NOW)
    assert journal(place.reader()) == once + " ann-5#4"


def test_what_lies_before_the_recorded_head_is_left_out(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann+5")], NOW)
    store.record([proposals("ann-4")], NOW)
    assert journal(place.reader()) == "ann+5#1"


def test_a_proposer_that_counts_otherwise_is_understood(place: Place) -> None:
    """Replayed in another order, the core may have found fewer changes than are recorded."""
    store = place.owner()
    store.record([proposals("ann+1 ann-2 ann+3")], NOW)
    store.record([proposals("ann-9@2")], NOW)
    assert journal(place.reader()) == "ann+1#1 ann-2#2 ann+3#3 ann-9#4"


def test_nobody_leaves_who_has_not_entered(place: Place) -> None:
    store = place.owner()
    store.record([proposals("ann-1 ann-2@4")], NOW)
    assert journal(place.reader()) == ""


def test_a_reconciled_transition_follows_at_the_heads_instant_at_the_earliest(
    place: Place,
) -> None:
    store = place.owner()
    store.record([proposals("ann+5@3 ben+5 cat+5@3")], NOW)
    story = proposals("ann-4@2 ben+9@1 cat-5@2", cause=Cause.RECONCILED)
    entries = store.record([story], NOW).journal_entries()
    assert told(entries) == "ann-5#2 cat-5#2"
    assert entries[0].record.cause == {"kind": "reconciled"}
    assert len(store.record([story], NOW)) == 0
    # From here on, the proposer's own count goes on.
    store.record([proposals("ann+5@3")], NOW)
    assert told(place.reader().transitions(user_id="ann").entries) == "ann+5#1 ann-5#2 ann+5#3"


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        (Cause.INITIAL, {"kind": "initial"}),
        (Cause.DEFINITION_CHANGED, {"kind": "definition_changed"}),
        (Cause.MERGED, {"kind": "merged"}),
        (Cause.WAREHOUSE_PULL, {"kind": "warehouse_pull", "pull": ""}),
        (Cause.WINDOW_EXPIRED, {"kind": "window_expired", "condition": ""}),
    ],
)
def test_every_cause_is_kept(place: Place, cause: Cause, shown: dict[str, str]) -> None:
    place.owner().record([proposals("ann+1", cause=cause)], NOW)
    reader = place.reader()
    assert reader.transitions().entries[0].record.cause == shown
    assert reader.members("users", "keen")[0].cause == shown


def test_audiences_and_parent_models_are_apart(place: Place) -> None:
    store = place.owner()
    store.claim([("accounts", 0)])
    store.record([proposals("ann+1")], NOW)
    store.record([proposals("ann+2", audience="quiet")], NOW)
    store.record([proposals("ann+3", parent_model="accounts")], NOW)
    store.record([proposals("ann-4@2", audience="quiet")], NOW)
    records = [one.record for one in place.reader().transitions().entries]
    assert [(one.parent_model, one.audience, one.sequence) for one in records] == [
        ("users", "keen", 1),
        ("users", "quiet", 1),
        ("accounts", "keen", 1),
        ("users", "quiet", 2),
    ]


def test_texts_come_back_as_they_were(place: Place) -> None:
    users = ["a\0b", "a\1b", "a\0010b", "a", "Ä", "🦊", "' OR 1=1 --", "%s", "?", "\\", "{}", ""]
    given = proposals(" ".join(f"u{i}+1" for i in range(len(users))))
    odd = replace(given, user_ids=users, details=users)
    store = place.owner()
    store.record([odd], NOW)
    assert len(store.record([odd], NOW)) == 0
    reader = place.reader()
    records = [one.record for one in reader.transitions().entries]
    assert [one.user_id for one in records] == users
    assert [one.cause["message_id"] for one in records] == users
    assert {one.user_id for one in reader.members("users", "keen")} == set(users)


def test_a_claim_ends_the_one_before(place: Place) -> None:
    zombie = place.owner(0, 1)
    zombie.record([proposals("ann+1")], NOW)
    place.owner(0).record([proposals("ann+1 ann-2")], NOW)
    with pytest.raises(OwnerChanged, match="key group 0 of users now belongs to another process"):
        zombie.record([proposals("ben+1", group=1), proposals("ann+3@3")], NOW)
    # All or nothing; the group that is still its own it may write.
    assert journal(place.reader()) == "ann+1#1 ann-2#2"
    zombie.record([proposals("ben+1", group=1)], NOW)
    assert journal(place.reader()) == "ann+1#1 ann-2#2 ben+1#1"


def test_progress_is_as_old_as_the_journal(place: Place) -> None:
    zombie = place.owner()
    zombie.record([proposals("ann+1")], NOW, {"users/0": "7", "web": "12"})
    owner = place.owner()
    owner.record([proposals("")], NOW, {"users/0": "8"})
    with pytest.raises(OwnerChanged):
        zombie.record([proposals("ann-2@2")], NOW, {"users/0": "9"})
    assert place.reader().progress() == {"users/0": "8", "web": "12"}


def test_the_job_notes_how_far_it_has_come_beside_that(place: Place) -> None:
    place.owner().record([proposals("ann+1")], NOW, {"web": "12"})
    reader = place.reader()
    assert reader.job() is None
    with closing(JobNotes(place.database(writable=True))) as notes:
        for clock in (NOW, NOW + 1):
            note = JobNote(clock=clock, has_caught_up=True, noted_at=NOW)
            notes.write(note)
            assert reader.job() == note
    assert reader.progress()["web"] == "12"
    assert journal(reader) == "ann+1#1"


def test_a_large_batch(place: Place) -> None:
    users = 5_000
    store = place.owner()
    story = " ".join(f"u{user}+{user}" for user in range(users))
    assert len(store.record([proposals(story)], NOW)) == users
    assert len(store.record([proposals(story)], NOW)) == 0
    reader = place.reader()
    assert reader.end() == users
    assert len(list(reader.heads("users", 0))) == users


def test_a_large_batch_finds_the_heads_of_all_its_users(place: Place) -> None:
    store = place.owner()
    users = [f"u{number}" for number in range(1_000)]
    store.record([proposals(" ".join(f"{user}+1" for user in users[::3]))], NOW)
    then = store.record([proposals(" ".join(f"{user}+2 {user}-3" for user in users))], NOW)
    already = " ".join(f"{user}-3#2" for user in users[::3])
    fresh = " ".join(f"{user}+2#1 {user}-3#2" for number, user in enumerate(users) if number % 3)
    found = told(then.journal_entries()).split()
    assert sorted(found) == sorted(f"{already} {fresh}".split())
