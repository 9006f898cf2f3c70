"""Several machines, which are several supervisors here: they meet, stop, die and meet again."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from connectors.wall_clock import wall_clock
from tests.cli.jobs import eventually
from tests.cluster.workers import await_workers, runs, workers_of
from tests.faults.processes import Process, process
from tests.faults.story import Story, definition_of
from tests.faults.verdict import assert_true_in_the_end, await_stored
from tests.membership.servers import PostgresServer

LISTED = "10.0.0.1:2101,10.0.0.2:2101"


def addresses() -> str:
    """Two of this machine's, each with room for two workers."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ",".join(f"127.0.0.1:{port}" for port in ports)


@pytest.fixture
def story(tmp_path: Path, postgres: PostgresServer) -> Story:
    schema = f"usher_{os.urandom(4).hex()}"
    store = {"type": "postgres", "url": postgres.url, "schema": schema}
    story = Story(tmp_path / "project", 31, definition_of(store=store))
    with process(story.root) as one:
        one.await_begin()
        story.go_on(0.3)
        await_stored(one, story.root, wall_clock())
        assert one.stop() == 0, one.said()
    return story


@contextmanager
def machine(root: Path, listed: str, number: int) -> Iterator[Process]:
    with process(root, "--machines", listed, "--machine", str(number)) as one:
        eventually(lambda: not one.runs or "running" in one.said())
        yield one


@pytest.mark.slow
def test_machines_stop_together_and_meet_again(story: Story) -> None:
    listed = addresses()
    with machine(story.root, listed, 0) as leader:
        with machine(story.root, listed, 1) as other:
            await_workers(leader, story.root, 1, total=2)
            story.go_on(0.5)
            workers = workers_of(leader.id) + workers_of(other.id)
            other.kill()
            eventually(lambda: not any(map(runs, workers)))
        story.go_on(0.2)
        with machine(story.root, listed, 1) as other:
            await_workers(leader, story.root, 1, workers, total=2)
            story.go_on(0.5)
            workers = workers_of(leader.id) + workers_of(other.id)
            assert other.stop() == 0, other.said()
            eventually(lambda: not any(map(runs, workers)))
        with machine(story.root, listed, 1) as other:
            await_workers(leader, story.root, 1, workers, total=2)
            story.go_on(0.3)
            assert leader.stop() == 0, leader.said()
            eventually(lambda: not workers_of(other.id))
            assert other.runs
            assert other.stop() == 0, other.said()
    assert "Traceback" not in leader.said() + other.said()
    assert_true_in_the_end(story)


def is_said(one: Process, what: str) -> bool:
    return what in one.said()


def test_machines_whose_folders_differ_say_so(story: Story, tmp_path: Path) -> None:
    listed = addresses()
    copy = tmp_path / "elsewhere" / "project"
    shutil.copytree(story.root, copy)
    with machine(story.root, listed, 0) as leader, machine(copy, listed, 1) as other:
        for one, missing in ((leader, 1), (other, 0)):
            said = f"waiting for machine {missing}; it has left no sign in"
            eventually(partial(is_said, one, said))
            assert "has to be on a file system that all share" in one.said()
            assert one.stop() == 0, one.said()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--machine", "0"], "--machines and --machine belong together"),
        (["--machines", "a:1,b", "--machine", "0"], "'b' is not like host:2101"),
        (["--machines", LISTED, "--machine", "2"], "there is no machine 2 among 2"),
        (["--machines", "a:1,a:2", "--machine", "0", "--workers", "2"], "ports overlap"),
        (["--machines", LISTED, "--machine", "0"], "SQLite is for one machine"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, arguments: list[str], said: str) -> None:
    story = Story(tmp_path / "project", 1)
    with process(story.root, *arguments) as one:
        assert one.end() == 2
        assert said in one.said()


def test_a_network_that_others_can_reach_has_to_be_called_private(tmp_path: Path) -> None:
    story = Story(tmp_path / "project", 1)
    definition = json.loads((story.root / "usher.yml").read_text())
    definition["store"] = {"type": "postgres", "url": "postgresql://127.0.0.1:1/none"}
    (story.root / "usher.yml").write_text(json.dumps(definition))
    with process(story.root, "--machines", LISTED, "--machine", "0") as one:
        assert one.end() == 2
        assert "whoever can reach their ports can take them over" in one.said()
        assert "--cluster-network-is-private" in one.said()
