"""Whether a job, after all that was done to it, has told and kept the truth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataflows.checkpoints import StoredGroup
from dataflows.recovery import open_recovery
from dataflows.resumption import DamagedStore, StoredRow, read_resumption
from engine.group import KeyGroup
from project.folder import load_project
from tests.cli.jobs import eventually
from tests.faults.harm import Harm
from tests.faults.processes import Process, process
from tests.faults.story import HOUR, Story, now

Member = tuple[str, str]


def assert_true_in_the_end(story: Story, *, since_the_first_start: bool = True) -> None:
    """Start the job once more, an hour later and unharmed, and compare it with the oracle.

    What it keeps is the truth in any case.  What it has told is the truth if the first job stored
    something: one that did not begins its life again, at another instant, and what happened before
    that instant is history, which causes no transitions.
    """
    expected = story.members()
    with process(story.root, harm=Harm(clock=HOUR)) as one:
        await_stored(one, story.root, now() + HOUR)
        assert one.stop() == 0, one.said()
    assert_same(kept_members(story.root), expected)
    assert_sound(told(story.root), set(story.ageings()))
    if since_the_first_start:
        assert_same(told_members(story.root), expected)


def await_stored(one: Process, root: Path, instant: int) -> None:
    """Until the job has stored that its clock has come to an instant; or has ended.

    The clock of a job that has something to read stays behind.
    """

    def has_come() -> bool:
        if not one.runs:
            return True
        with suppress(DamagedStore):  # it is being made, or what damaged it is about to be told
            rows = read_resumption(root / ".usher" / "recovery")
            clocks = [StoredGroup.from_bytes(row.state).clock for row in rows if is_group(row)]
            return bool(clocks) and min(clocks) >= instant
        return False

    eventually(has_come)


def is_group(row: StoredRow) -> bool:
    return row.step.endswith("evaluate")


def assert_same(found: set[Member], expected: set[Member]) -> None:
    assert found == expected, {"missing": expected - found, "wrong": found - expected}


def told(root: Path) -> list[dict[str, Any]]:
    """All transitions in the order in which they were told, some of them more than once."""
    archive = root / "out" / "transitions.jsonl"
    lines = archive.read_text().splitlines(keepends=True) if archive.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def told_members(root: Path) -> set[Member]:
    """The last word on every user and audience.

    Not that of the highest sequence: what a killed job told last need not happen again.  Where an
    event came so late that the clock went on without it, a job that resumes reads the event first.
    """
    last = {(one["user_id"], one["audience"]): one["type"] for one in told(root)}
    return {member for member, type_ in last.items() if type_ == "entered"}


def kept_members(root: Path) -> set[Member]:
    """Who is a member by the state that the next job would go on from."""
    loaded = load_project(root, {}).loaded
    assert loaded is not None
    recovery = open_recovery(loaded)
    rows = read_resumption(Path(recovery.config.db_dir))
    members = set()
    for row in rows:
        if is_group(row):
            position = StoredGroup.from_bytes(row.state).state
            assert not isinstance(position, bytes)
            plan = loaded.project.plans[row.key.partition("/")[0]].plan
            group = KeyGroup.load(plan, *recovery.log.read(position))
            members |= {(one.user_id, one.audience) for one in group.members()}
    return members


def assert_sound(transitions: Iterable[dict[str, Any]], ageings: set[tuple[str, str]]) -> None:
    """Sequences have no gaps, types alternate, nothing ages out at another instant than its own."""
    sequences: dict[Member, set[int]] = {}
    for one in transitions:
        sequences.setdefault((one["user_id"], one["audience"]), set()).add(one["sequence"])
        assert one["type"] == ("entered" if one["sequence"] % 2 else "exited"), one
        assert one["effective_at"] <= one["emitted_at"], one
        if one["cause"]["kind"] == "window_expired":
            assert (one["user_id"], one["effective_at"]) in ageings, one
    for member, told_ones in sequences.items():
        assert told_ones == set(range(1, len(told_ones) + 1)), member
