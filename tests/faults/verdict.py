"""Whether a job, after all that was done to it, has told and kept the truth."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from connectors.wall_clock import wall_clock
from dataflows.checkpoints import StoredGroup
from dataflows.recovery import open_recovery
from dataflows.resumption import DamagedStore, StoredRow, read_resumption
from engine.group import KeyGroup
from project.folder import load_project
from tests.cli.jobs import eventually
from tests.faults.harm import Harm
from tests.faults.journal import assert_journal_is_true, began, journal
from tests.faults.processes import Process, process
from tests.faults.story import HOUR, Member, Story, members_after


def begin(story: Story) -> None:
    """Run a job that stores something: one that did not begins its life again."""
    at = wall_clock()
    with process(story.root, *story.arguments) as one:
        one.await_begin()
        story.go_on(0.2)
        await_stored(one, story.root, at)
        assert one.stop() == 0, one.said()


def assert_true_in_the_end(story: Story, *, since_the_first_start: bool = True) -> None:
    """Start the job once more, an hour later and unharmed, and compare it with the oracle.

    It is given the time to reconcile its journal.

    Args:
        since_the_first_start: Whether the first job has stored something.
    """
    harm = Harm(clock=story.ahead + HOUR)
    with process(story.root, *story.arguments, harm=harm) as one:
        await_stored(one, story.root, wall_clock() + story.ahead + HOUR)
        truth = story.transitions(began(story.root))
        expected = members_after(truth)
        with suppress(AssertionError):  # it is told below what differs
            eventually(lambda: not one.runs or recorded_members(story.root) == expected)
        assert one.stop() == 0, one.said()
    assert_same(kept_members(story.root), expected)
    assert_same(recorded_members(story.root), expected)
    assert_journal_is_true(story, truth, since_the_first_start=since_the_first_start)


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


def recorded_members(root: Path) -> set[Member]:
    """Who is a member by the journal."""
    last = {(one["user_id"], one["audience"]): one["type"] for one in journal(root)}
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
