"""What the journal accepts is printed and delivered, by threads that nobody waits for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dataflows.outbox import Outbox
from dataflows.preparation import fresh_snapshots
from membership.errors import PositionPruned
from membership.retention import Retention
from membership.store import MembershipStore
from project.folder import LoadedProject, load_project
from project.stores import open_store
from tests.cli.jobs import PATIENCE, eventually
from tests.cli.projects import DEFINITION, changed, write_project
from tests.membership.stories import NOW, proposals

SYNCS = DEFINITION["syncs"]


def loaded(root: Path, **sections: Any) -> LoadedProject:
    project = load_project(write_project(root, changed(**sections))).loaded
    assert project is not None
    return project


@dataclass
class Told:
    """What an outbox has brought out."""

    root: Path
    lines: list[str] = field(default_factory=list)

    def show(self, lines: Sequence[str]) -> None:
        self.lines += lines

    def printed(self) -> str:
        return " ".join(_short(json.loads(line)) for line in self.lines)

    def archived(self) -> str:
        """By user, each in the order in which it was delivered."""
        path = self.root / "out" / "transitions.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        records = sorted(map(json.loads, lines), key=lambda one: one["user_id"])
        return " ".join(map(_short, records))


def _short(record: dict[str, Any]) -> str:
    sign = "+" if record["type"] == "entered" else "-"
    return f"{record['user_id']}{sign}{record['sequence']}"


@pytest.fixture
def project(tmp_path: Path) -> LoadedProject:
    return loaded(tmp_path / "project")


@pytest.fixture
def told(project: LoadedProject) -> Told:
    return Told(project.root)


@pytest.fixture
def store(project: LoadedProject) -> Iterator[MembershipStore]:
    with closing(open_store(project)) as store:
        store.claim([("users", 0)])
        yield store


@pytest.fixture
def begun(store: MembershipStore, told: Told) -> Iterator[Callable[..., Outbox]]:
    """Begins outboxes, one after the other."""
    opened: list[Outbox] = []

    def begin(project: LoadedProject, failed: Callable[[], None] = lambda: None) -> Outbox:
        for one in opened:
            one.close()
        opened[:] = [Outbox(project, told.show, json=True)]
        opened[0].begin(store, failed)
        return opened[0]

    yield begin
    for one in opened:
        one.close()


Begin = Callable[..., Outbox]


def test_what_is_recorded_is_printed_and_delivered(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    outbox = begun(project)
    outbox.wake(store.record([proposals("ann+1 ann-2 ben+3")], NOW))
    store.record([proposals("ann+4", audience="quiet")], NOW)  # printed, but nobody's sync
    outbox.drain(PATIENCE)
    assert told.printed() == "ann+1 ann-2 ben+1 ann+1"
    assert told.archived() == "ann+1 ann-2 ben+1"
    assert store.cursors.all() == {"sync/all": 4}


def test_what_others_record_is_found_without_being_told(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    begun(project)
    with closing(open_store(project)) as other:
        other.claim([("users", 1)])
        other.record([proposals("eve+1", group=1)], NOW)
    eventually(lambda: told.printed() == "eve+1")
    eventually(lambda: told.archived() == "eve+1")
    eventually(lambda: store.cursors.all() == {"sync/all": 1})


def test_deliveries_go_on_at_their_cursor_and_lines_at_the_end(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    begun(project).drain(PATIENCE)
    begun(project).close()
    store.record([proposals("ann+1 ann-2")], NOW)  # nobody is there
    outbox = begun(project)
    store.record([proposals("ann+3@3")], NOW)
    outbox.drain(PATIENCE)
    assert told.printed() == "ann+3"
    assert told.archived() == "ann+1 ann-2 ann+3"


def test_a_new_sync_begins_with_who_is_a_member(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    begun(project).close()
    store.record([proposals("ann+1"), proposals("ann+1", audience="quiet")], NOW)
    more = {**SYNCS, "more": {"audience": "quiet", "destination": "archive"}}
    outbox = begun(loaded(project.root, syncs=more))
    eventually(lambda: store.ledger.populations()["more"].is_complete)
    store.record([proposals("ann-2@2"), proposals("ann-2@2", audience="quiet")], NOW)
    outbox.drain(PATIENCE)
    assert sorted(told.archived().split()) == ["ann+1", "ann+1", "ann-2", "ann-2"]
    assert store.cursors.all() == {"sync/all": 4, "sync/more": 4}


def test_more_than_a_page(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    users = [f"u{number:05d}" for number in range(40_000)]
    outbox = begun(project)
    for first in range(0, len(users), 8_000):
        story = " ".join(f"{user}+1" for user in users[first : first + 8_000])
        outbox.wake(store.record([proposals(story)], NOW))
    outbox.drain(PATIENCE)
    assert told.printed() == told.archived() == " ".join(f"{user}+1" for user in users)


def test_who_does_not_read_holds_up_nobody_else(
    project: LoadedProject,
    store: MembershipStore,
    told: Told,
    capsys: pytest.CaptureFixture[str],
) -> None:
    looked = Event()

    def show(_lines: Sequence[str]) -> None:
        looked.wait()

    with closing(Outbox(project, show)) as outbox:
        outbox.begin(store, lambda: None)
        outbox.wake(store.record([proposals("ann+1")], NOW))
        eventually(lambda: told.archived() == "ann+1")
        eventually(lambda: store.cursors.all() == {"sync/all": 1})
        outbox.drain(0.1)
        assert "what follows position 0 of the journal is not printed yet" in (
            capsys.readouterr().err
        )
        looked.set()
        outbox.drain(PATIENCE)


def test_a_cursor_whose_transitions_are_gone_is_told(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    begun(project)
    eventually(lambda: store.ledger.populations()["all"].is_complete)
    begun(project).close()
    store.record([proposals("ann+1 ann-2 ann+3")], NOW)
    store.cursors.forget("sync/all")
    store.prune(Retention(keep_rows=1), NOW)
    store.cursors.open(["sync/all"])
    store._database.execute("UPDATE cursors SET position = 0")
    failed = Event()
    outbox = begun(project, failed.set)
    with pytest.raises(PositionPruned, match="no longer has what follows position 0"):
        outbox.drain(PATIENCE)
    assert failed.is_set()


def test_mappings_and_only_if_look_at_the_snapshot(
    project: LoadedProject, store: MembershipStore, told: Told, begun: Begin
) -> None:
    mapped = {
        **SYNCS["all"],
        "only_if": {"ltv": {"at_least": 10}},
        "mapping": {"who": "{{ user_id }}", "value": "{{ properties.ltv }}", "in": "{{ entered }}"},
    }
    whole = {"audience": "quiet", "destination": "archive"}  # which looks at nothing
    asked = loaded(project.root, syncs={"all": mapped, "whole": whole})
    fresh_snapshots(asked, NOW)
    begun(asked).close()
    store.record([proposals("u1+1 u2+1 u2-2")], NOW)
    outbox = begun(asked)
    store.record([proposals("u1-3@2 u2+3@3 u2-4@4")], NOW)
    store.record([proposals("u2+5", audience="quiet")], NOW)
    outbox.drain(PATIENCE)
    path = told.root / "out" / "transitions.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [one["user_id"] for one in records if "user_id" in one] == ["u2"]
    assert [one for one in records if "who" in one] == [
        {"who": "u1", "value": 20, "in": True},
        {"who": "u1", "value": 20, "in": False},
    ]
