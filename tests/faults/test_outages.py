"""The warehouse is out of reach for an hour, when a pull is due; the job goes on, and recovers.

It is gone, or takes connections and does not answer.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.jobs import PATIENCE, Job, eventually, running
from tests.faults.journal import journal
from tests.faults.shop import NEVER, ShopStory
from tests.faults.verdict import assert_true_in_the_end
from tests.faults.wall import PythonClock
from tests.membership.servers import PostgresServer

SECOND = 1_000_000
MINUTE, HOUR = 60, 60 * 60

_OUTAGES = {
    "it is gone": (PostgresServer.stopped, {}, "connection to server .* failed: No such file"),
    "it hangs": (PostgresServer.frozen, {"timeout": "5s"}, "it took longer than 5s"),
}


@pytest.mark.parametrize("outage", _OUTAGES)
def test_the_warehouse_is_down_for_an_hour(
    tmp_path: Path, server: PostgresServer, outage: str
) -> None:
    clock = PythonClock(tmp_path)
    break_off, options, reason = _OUTAGES[outage]
    story = ShopStory(tmp_path / "project", 50, server, pull={"every": "4h"}, options=options)
    with running(story.root, command=clock.command(story.root)) as one:
        story.go_on(0.5)
        eventually(lambda: "initial" in _causes(story), one)
        before = story.in_force()
        story.change()
        assert _state(story, clock) == "current"
        with break_off(server):
            _set(story, clock, 4 * HOUR + 10 * MINUTE)
            eventually(lambda: len(_failed(story, reason)) >= 1, one)
            eventually(lambda: "users is stale: its rows are those of" in one.errors(), one)
            eventually(lambda: _state(story, clock) == "stale", one)
            _set(story, clock, 5 * HOUR + 10 * MINUTE)
            story.go_on(0.5)
            eventually(lambda: len(_failed(story, reason)) >= 2, one)
            eventually(lambda: "stays, and it is tried again in 10 s" in one.errors(), one)
            assert story.in_force() == before
            assert "warehouse_pull" not in _causes(story)
        _recovers(story, one)
        assert _state(story, clock) == "current"
        assert one.stop() == 0, one.errors()
        assert "Traceback" not in one.errors()
    story.schedule({"cron": NEVER})
    assert_true_in_the_end(story)


def _set(story: ShopStory, clock: PythonClock, ahead: int) -> None:
    clock.set(ahead)
    story.set_clock(ahead * SECOND)


def _recovers(story: ShopStory, one: Job) -> None:
    """By itself, and brings what had changed before."""
    eventually(lambda: story.pulls()[-1]["status"] == "succeeded", one)
    last = story.pulls()[-1]
    assert last["trigger"] == "scheduled"
    story.pulled[last["version"]] = story.contents()
    eventually(lambda: "users is current again" in one.errors(), one)
    eventually(lambda: last["version"] in story.instants(), one)
    story.go_on(0.3)


def _failed(story: ShopStory, reason: str) -> list[str]:
    """What the pulls said that have failed for this reason; there are no others."""
    errors = [one["error"] for one in story.pulls() if one["status"] == "failed"]
    assert all(re.search(reason, one) for one in errors), errors
    return errors


def _causes(story: ShopStory) -> set[str]:
    return {one["cause"]["kind"] for one in journal(story.root)}


def _state(story: ShopStory, clock: PythonClock) -> str:
    """What `usher freshness` says of an audience, by that clock."""
    command = clock.command(story.root, "freshness")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    return str(next(one["state"] for one in facts if one["audience"] == "vip"))
