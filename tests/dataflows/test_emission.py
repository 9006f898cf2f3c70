"""What the core finds goes into the journal; each process writes for the groups it evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from dataflows.emission import Emission
from membership.errors import OwnerChanged
from membership.facts import Recorded
from project.folder import LoadedProject, load_project
from project.stores import open_reader, open_store
from tests.cli.projects import write_project
from tests.dataflows.found import Row, group_transitions


@pytest.fixture
def project(tmp_path: Path) -> LoadedProject:
    project = load_project(write_project(tmp_path / "project")).loaded
    assert project is not None
    return project


@pytest.fixture
def processes(project: LoadedProject) -> Iterator[Callable[..., Emission]]:
    """Emissions, each with a store of its own."""
    with ExitStack() as held:

        def start(**more: Any) -> Emission:
            store = held.enter_context(closing(open_store(project)))
            return held.enter_context(closing(Emission(project, store, **more)))

        yield start


def entered(user: str) -> list[Row]:
    return [(user, "keen", 1_000_000, 1)]


def test_processes_share_the_key_groups_by_writing_to_them(
    project: LoadedProject, processes: Callable[..., Emission]
) -> None:
    plan = project.project.plans["users"].plan
    first, second = processes(), processes()
    for round_ in range(3):
        first.take([group_transitions(plan, 1, entered(f"a{round_}"), 1)])
        second.take([group_transitions(plan, 2, entered(f"b{round_}"), 1)])
    with closing(open_reader(project)) as reader:
        assert reader.end() == 6
    second.take([group_transitions(plan, 1, entered("c"), 1)])
    with pytest.raises(OwnerChanged, match="key group 1 of users now belongs to another process"):
        first.take([group_transitions(plan, 1, entered("d"), 1)])


def test_a_key_group_is_claimed_before_its_members_are_compared(
    project: LoadedProject, processes: Callable[..., Emission]
) -> None:
    plan = project.project.plans["users"].plan
    told: list[int] = []
    first, second = processes(), processes(reconciled=told.append)
    first.take([group_transitions(plan, 1, entered("a"), 1)])
    for group in (0, 1):
        found = group_transitions(plan, group, [], 2_000_000)
        second.take([found._replace(members=[])])
    assert told == [0, 1]  # nobody is in, so "a" has to leave
    with pytest.raises(OwnerChanged):
        first.take([group_transitions(plan, 1, entered("b"), 1)])


def test_who_brings_things_out_is_given_what_was_recorded(
    project: LoadedProject, processes: Callable[..., Emission]
) -> None:
    plan = project.project.plans["users"].plan
    given: list[Recorded] = []
    emission = processes(wake=given.append)
    for _ in range(2):  # found again, it is nothing new
        emission.take([group_transitions(plan, 1, entered("a"), 1)])
    ((entry,),) = [one.journal_entries() for one in given]
    assert (entry.position, entry.record.user_id) == (1, "a")
