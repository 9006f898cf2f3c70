"""A warehouse on a real server that changes, breaks and goes away beneath a running job.

What a pull brings takes force as the oracle says; a pull that has gone wrong says why, and moves
nobody.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.processes import process
from tests.faults.shares import WAREHOUSE_STORIES
from tests.faults.shop import ShopStory
from tests.faults.verdict import assert_true_in_the_end, begin
from tests.membership.servers import PostgresServer

_TROUBLES = 7

# What is done to the tables, and what the pull says of it.
_DAMAGES = {
    "ALTER TABLE customers DROP COLUMN ltv": "there is no column 'ltv'",
    "ALTER TABLE orders DROP COLUMN status": "there is no column 'status'",
    "ALTER TABLE orders RENAME TO carts": 'relation "orders" does not exist',
    "ALTER TABLE customers ALTER ltv TYPE text USING 'a lot'": "reads as number",
    "DELETE FROM customers": "it has no rows, where there were",
    "DELETE FROM customers WHERE user_id IN (SELECT user_id FROM customers ORDER BY user_id "
    "LIMIT (SELECT ceil(count(*) * 0.3) FROM customers))": r"\d\d\.\d% fewer",
    "INSERT INTO customers SELECT * FROM customers LIMIT 1": "the primary key 'user_id' is not un",
    "INSERT INTO customers VALUES (NULL, 1)": "1 of .* rows have no value in the primary key",
}
_GONE = "connection to server .* failed"
_BROKEN = "terminating connection|server closed the connection"


@pytest.mark.parametrize("seed", range(WAREHOUSE_STORIES))
def test_the_warehouse_changes_and_breaks_while_a_job_runs(
    tmp_path: Path, server: PostgresServer, seed: int
) -> None:
    story = ShopStory(tmp_path / "project", 30 + seed, server)
    begin(story)
    expected: list[str | None] = []  # of each pull, what it says if it has failed
    damages = list(_DAMAGES.items())
    story.random.shuffle(damages)
    version = story.in_force()
    with process(story.root) as one:
        one.await_begin()
        for number in range(_TROUBLES):
            story.go_on(0.2)
            story.change()
            before = story.in_force()
            match number:
                case 1:
                    reason: str = _interrupted(story, restart=False)
                case 3:
                    reason = _interrupted(story, restart=True)
                case 5:
                    reason = _without_server(story)
                case _:
                    reason = _refused(story, *damages.pop())
            assert story.in_force() == before
            expected.append(reason)
            if story.random.random() < 0.5 or number == _TROUBLES - 1:
                version = _taken(story)
                expected.append(None)
        while version not in story.instants():
            story.go_on(0.05)
        assert one.stop() == 0, one.said()
        assert "Traceback" not in one.said()
    assert_true_in_the_end(story)
    found = [one["error"] for one in story.pulls()[-len(expected) :]]
    assert len(found) == len(expected)
    for wanted, error in zip(expected, found, strict=True):
        assert (error is None) is (wanted is None), (wanted, error)
        assert re.search(wanted or "", error or ""), (wanted, error)


def _taken(story: ShopStory) -> str:
    """A pull that finds nothing wrong; its version."""
    story.change()
    done = story.pull_by_hand()
    assert done.code == 0, done.said
    assert done.version is not None
    story.pulled[done.version] = story.contents()
    return done.version


def _refused(story: ShopStory, damage: str, reason: str) -> str:
    """A pull that finds something wrong."""
    story.damage(damage)
    done = story.pull_by_hand()
    story.fill()
    assert (done.code, done.version) == (3, None), done
    assert re.search(reason, done.said), done.said
    return reason


def _without_server(story: ShopStory) -> str:
    with story.server.stopped():
        done = story.pull_by_hand()
    assert (done.code, done.version) == (3, None), done
    assert re.search(_GONE, done.said), done.said
    return _GONE


def _interrupted(story: ShopStory, *, restart: bool) -> str:
    """A pull whose connection breaks while the server is at it."""
    with story.pulling() as one:
        one.interrupt(story.random.choice(["customers", "orders"]), restart=restart)
        done = one.end()
    assert (done.code, done.version) == (3, None), done
    assert re.search(_BROKEN, done.said), done.said
    return _BROKEN
