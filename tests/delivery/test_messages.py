"""What a sync sends of the journal: mapped messages, and nothing of whom it withholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import Collection, ColumnType, Comparison, Negation, Sync
from audience_dsl.syncs import RECORD_KEYS
from connectors.destinations.destination import Message
from delivery.entries import Unsendable
from delivery.messages import Messages
from delivery.withheld import BriefWithheld
from engine.records import TransitionRecord
from membership.facts import JournalEntry
from tests.delivery.profiles import users
from tests.warehouse.plans import AT, DAY
from warehouse.errors import WarehouseError
from warehouse.profiles import Profiles, ProfileVersions
from warehouse.versions import Versions, default_store

ROWS: list[dict[str, Any]] = [
    {"user_id": "ada", "email": "Ada@x", "plan": "pro", "ltv": Decimal("12.50"), "joined": AT},
    {"user_id": "ben", "email": None, "plan": "free", "ltv": None, "joined": None},
]
PAYING = Negation(Comparison("plan", "equals", "free", ColumnType.STRING))


@pytest.fixture(name="versions", scope="module")
def _versions(tmp_path_factory: pytest.TempPathFactory) -> ProfileVersions:
    return users(tmp_path_factory.mktemp("users"), ROWS)


def profiles(versions: ProfileVersions) -> Profiles:
    return versions.at(versions.current())


def sync(**more: Any) -> Sync:
    return Sync("s", "keen", "out", **more)


def entry(
    user_id: str, sequence: int, event: dict[str, object] | None = None, audience: str = "keen"
) -> JournalEntry:
    record = TransitionRecord(
        f"id-{user_id}-{sequence}",
        "entered" if sequence % 2 else "exited",
        audience,
        "v1",
        "users",
        user_id,
        "2026-03-01T00:00:00.000000Z",
        sequence,
        {"kind": "event", "message_id": "m1"} if sequence % 2 else {"kind": "window_expired"},
        "2026-03-01T00:00:01.000000Z",
    )
    return JournalEntry(sequence, record, None if event is None else json.dumps(event))


def made(
    messages: Messages, versions: ProfileVersions, entries: Sequence[JournalEntry]
) -> list[Message | Unsendable | None]:
    return [messages.of(one, profiles(versions)) for one in entries]


def test_without_a_mapping_the_record_is_sent(versions: ProfileVersions) -> None:
    message = Messages(sync(), BriefWithheld()).of(entry("ada", 1), profiles(versions))

    assert isinstance(message, Message)
    assert (message.id, message.user_id, message.entered) == ("id-ada-1", "ada", True)
    assert tuple(message.record) == RECORD_KEYS
    assert message.body is message.record


def test_a_mapping_of_record_snapshot_and_event(versions: ProfileVersions) -> None:
    mapping = {
        "userId": "{{ user_id }}",
        "event": "Audience {{ type }}",
        "in": "{{ entered }}",
        "traits": {
            "email": "{{ properties.email | lower }}",
            "value": "{{ properties.ltv }}",
            "joined": "{{ properties.joined | epoch }}",
        },
        "path": "{{ event.path }}",
        "why": ["{{ cause.kind }}", "{{ cause.message_id }}"],
    }
    wanted = sync(
        mapping=mapping, properties=("email", "joined", "ltv"), event_properties=("path",)
    )
    entries = [entry("ada", 1, {"path": "/a"}), entry("ben", 2), entry("stranger", 1)]
    found = made(Messages(wanted, BriefWithheld()), versions, entries)

    assert [one.mapped for one in found if isinstance(one, Message)] == [
        {
            "userId": "ada", "event": "Audience entered", "in": True,
            "traits": {"email": "ada@x", "value": 12.5, "joined": AT // 1_000_000},
            "path": "/a", "why": ["event", "m1"],
        },
        {
            "userId": "ben", "event": "Audience exited", "in": False,
            "traits": {"email": None, "value": None, "joined": None},
            "path": None, "why": ["window_expired", None],
        },
        {
            "userId": "stranger", "event": "Audience entered", "in": True,
            "traits": {"email": None, "value": None, "joined": None},
            "path": None, "why": ["event", "m1"],
        },
    ]  # fmt: skip


def test_what_cannot_be_mapped_is_no_crash(versions: ProfileVersions) -> None:
    wanted = sync(mapping={"a": {"b": "{{ properties.plan | epoch }}"}}, properties=("plan",))
    found = Messages(wanted, BriefWithheld()).of(entry("ada", 1), profiles(versions))

    assert isinstance(found, Unsendable)
    assert found.record["user_id"] == "ada"
    assert found.reason == (
        "the mapping of sync 's': a.b: it is no instant, such as 2026-03-01T10:00:00Z"
    )


def test_other_audiences_and_kinds_are_not_sent(versions: ProfileVersions) -> None:
    entries = [entry("ada", 1), entry("ada", 1, audience="other"), entry("ada", 2)]
    found = made(Messages(sync(on=("exited",)), BriefWithheld()), versions, entries)

    assert found[:2] == [None, None]
    assert isinstance(found[2], Message)
    assert found[2].id == "id-ada-2"


def sent(messages: Messages, versions: ProfileVersions, *entries: JournalEntry) -> list[str]:
    return [one.id for one in made(messages, versions, entries) if isinstance(one, Message)]


def test_who_is_withheld_at_the_entry_is_withheld_at_the_exit(versions: ProfileVersions) -> None:
    kept = BriefWithheld()
    messages = Messages(sync(only_if=PAYING, properties=("plan",)), kept)

    assert sent(messages, versions, entry("ada", 1), entry("ben", 1)) == ["id-ada-1"]
    assert kept.entries == {("ben", 1)}
    assert sent(messages, versions, entry("ben", 2), entry("ada", 2)) == ["id-ada-2"]
    assert not kept.entries


def test_who_is_sent_again_is_asked_again_and_stays_sent(versions: ProfileVersions) -> None:
    kept = BriefWithheld()
    everybody, paying = Messages(sync(), kept), Messages(sync(only_if=PAYING), kept)
    profiles = versions.at(versions.current())

    assert sent(everybody, versions, entry("ben", 1)) == ["id-ben-1"]
    assert paying.of(entry("ben", 1), profiles, again=True) is None
    assert sent(paying, versions, entry("ben", 2)) == ["id-ben-2"]

    assert sent(paying, versions, entry("ben", 3)) == []
    assert paying.of(entry("ben", 3), profiles, again=True) is None
    assert kept.entries == {("ben", 3)}
    assert everybody.of(entry("ben", 3), profiles, again=True) is not None
    assert not kept.entries
    assert sent(paying, versions, entry("ben", 4)) == ["id-ben-4"]


def test_an_exit_follows_its_entry_whatever_has_changed(versions: ProfileVersions) -> None:
    kept = BriefWithheld()
    everybody, paying = Messages(sync(), kept), Messages(sync(only_if=PAYING), kept)

    assert sent(everybody, versions, entry("ben", 1)) == ["id-ben-1"]
    assert sent(paying, versions, entry("ben", 2), entry("ben", 3)) == ["id-ben-2"]
    assert sent(everybody, versions, entry("ben", 4), entry("ben", 5)) == ["id-ben-5"]


@given(
    st.lists(st.booleans(), max_size=6),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_what_is_asked_again_is_answered_as_before(
    versions: ProfileVersions, who: list[bool], crash: int, cursor: int
) -> None:
    """A crash loses what was removed since the cursor, and keeps what was added."""
    entries = [
        entry("ada" if paying else "ben", sequence)
        for turn, paying in enumerate(who)
        for sequence in (2 * turn + 1, 2 * turn + 2)
    ]
    whole = made(Messages(sync(only_if=PAYING), BriefWithheld()), versions, entries)
    cursor, crash = sorted((min(cursor, len(entries)), min(crash, len(entries))))
    kept = BriefWithheld()
    messages = Messages(sync(only_if=PAYING), kept)
    made(messages, versions, entries[:cursor])
    durable = set(kept.entries)
    made(messages, versions, entries[cursor:crash])
    kept.entries |= durable

    assert made(messages, versions, entries[cursor:]) == whole[cursor:]


def test_a_pinned_version_is_kept_and_looked_at(tmp_path: Path) -> None:
    before = users(tmp_path, [{"user_id": "ada", "plan": "free"}])
    first = before.current()
    before.pin([first])
    for day in range(1, 5):
        after = users(tmp_path, [{"user_id": "ada", "plan": f"p{day}"}], AT + day * DAY)

    assert after.at(first).of("ada")["plan"] == "free"
    assert after.at(first).note == ""
    assert after.at(after.current()).of("ada")["plan"] == "p4"
    assert first in Versions(default_store(tmp_path), "users").names()


def test_a_version_that_is_gone_is_replaced_with_a_note(tmp_path: Path) -> None:
    before = users(tmp_path, [{"user_id": "ada", "plan": "free"}])
    first = before.current()
    for day in range(1, 5):
        after = users(tmp_path, [{"user_id": "ada", "plan": f"p{day}"}], AT + day * DAY)

    found = after.at(first)
    assert found.of("ada")["plan"] == "p4"
    assert found.note.startswith(f"snapshot {first} of users cannot be looked at any more")


def test_nothing_pulled_is_an_error(tmp_path: Path) -> None:
    asked = Collection("@syncs", "users", (), ("plan",))

    with pytest.raises(WarehouseError):
        ProfileVersions(tmp_path, "users", asked).at("")
    assert ProfileVersions(tmp_path, "users", None).at("").of("ada") == {}
