"""Deliveries that follow the definitions, and what operators are told when they ask for some."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

import cli.sync_requests
from tests.cli.hooks import Hooks
from tests.cli.jobs import eventually, job, now, running
from tests.cli.operating import SECRET, Operator, definition, write
from tests.cli.projects import page, write_project
from tests.membership.servers import PostgresServer
from tests.serving.asking import ANYWHERE, ask


def test_deliveries_apart_follow_the_definitions(
    tmp_path: Path, server: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_project(tmp_path / "shop", definition(server, "hook"))
    op = Operator(root)
    later = definition(server, "hook", "later")

    def define(content: object) -> None:
        (root / "usher.yml").write_text(json.dumps(content))

    with (
        running(root, "--only", "evaluate") as evaluating,
        job(root, "--only", "deliver") as delivering,
    ):
        eventually(lambda: "usher: running" in delivering.errors(), delivering)
        write(root, page("ann", "1", now()))
        eventually(lambda: "ann+" in server.accepted("hook"), delivering)
        assert op.facts("sync", "resync", "hook")[0]["taken"] is True

        # Definitions that it cannot use leave it as it is; what it does not know can be asked
        # nothing.
        needy = json.loads(json.dumps(later))
        needy["destinations"]["later"]["secret"] = "${NEW_SECRET}"
        define(needy)
        delivering.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the definitions have mistakes" in delivering.errors(), delivering)
        monkeypatch.setenv("NEW_SECRET", SECRET)
        refused = op.run("sync", "resync", "later", code=3).output
        assert "the running job has not" in refused
        write(root, page("bob", "2", now()))
        eventually(lambda: "bob+" in server.accepted("hook"), delivering)

        define(later)
        eventually(lambda: {"ann+", "bob+"} <= set(server.accepted("later")), delivering)
        write(root, page("eve", "3", now()))
        eventually(
            lambda: all("eve+" in server.accepted(one) for one in ("hook", "later")), delivering
        )
        assert op.facts("sync", "resume", "later")[0]["taken"] is True

        define(definition(server, "later"))
        delivering.process.send_signal(signal.SIGHUP)
        eventually(lambda: "sync 'hook' is not defined any more" in delivering.errors(), delivering)
        assert delivering.stop() == 0
        assert evaluating.process.poll() is None
        # The job that is left delivers nothing.
        said = op.run("sync", "resync", "later").stdout
        assert "no job runs that delivers: the next one begins with it" in said
        assert evaluating.stop() == 0
    assert len(server.accepted("hook")) == len(set(server.accepted("hook"))) + 1, "the resync's"


def test_one_process_does_all_but_evaluate(tmp_path: Path, server: Hooks) -> None:
    project = {**definition(server, "hook"), "serving": ANYWHERE}
    root = write_project(tmp_path / "shop", project)
    with (
        running(root, "--only", "evaluate") as evaluating,
        running(root, "--only", "deliver,pull,serve") as others,
    ):
        url = re.findall(r"HTTP server at (\S+)\n", others.errors())[0]
        write(root, page("ann", "1", now()))
        eventually(lambda: "ann+" in server.accepted("hook"), others)
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, others)

        # What new definitions ask of the warehouse, this process pulls.
        later = {**definition(server, "hook", "later"), "serving": ANYWHERE}
        rich = {"parent_model": "users", "where": {"property": "ltv", "greater_than": 4}}
        later["audiences"] = {**later["audiences"], "rich": rich}
        (root / "usher.yml").write_text(json.dumps(later))
        eventually(lambda: "users: pulled" in others.errors(), others)
        eventually(lambda: "ann+" in server.accepted("later"), others)
        eventually(lambda: any(one[2] == "rich" for one in evaluating.told()), evaluating)
        assert "users: pulled" not in evaluating.errors()
        assert others.stop() == 0
        assert evaluating.stop() == 0


def test_members_that_are_sent_again_come_without_their_events(
    tmp_path: Path, server: Hooks
) -> None:
    mapping = {
        "user_id": "{{ user_id }}",
        "type": "{{ type }}",
        "path": "{{ event.path }}",
        "text": "saw {{ event.path }}",
        "kept": "{{ event.path | default('unknown') }}",
    }
    project = definition(server, "hook", "plain", hook={"mapping": mapping})
    root = write_project(tmp_path / "shop", project)
    op = Operator(root)
    with running(root) as job:
        write(root, page("ann", "1", now()))
        eventually(lambda: server.at("hook"), job)
        said = op.run("sync", "resync", "hook").stderr
        assert "what the mapping takes of them is missing (event.path)" in said
        assert op.run("sync", "resync", "plain").stderr == ""
        eventually(lambda: len(server.at("hook")) == 2, job)
        assert job.stop() == 0
    first, again = server.at("hook")
    assert first.id == again.id
    told = {"user_id": "ann", "type": "entered"}
    assert first.record == {**told, "path": "/", "text": "saw /", "kept": "/"}
    assert again.record == {**told, "path": None, "text": "saw ", "kept": "unknown"}


def test_with_a_store_that_others_reach_a_job_may_run_elsewhere(
    tmp_path: Path, server: Hooks, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.sync_requests, "PATIENCE", 0.3)
    url = postgres.create_database("delivering")
    project = {**definition(server, "hook"), "store": {"type": "postgres", "url": url}}
    root = write_project(tmp_path / "shop", project)
    op = Operator(root)
    with running(root) as job:
        write(root, page("ann", "1", now()))
        eventually(lambda: "ann+" in server.accepted("hook"), job)
        assert job.stop() == 0
    assert op.facts("sync", "resume", "hook")[0]["running"] is None
    said = op.run("sync", "resync", "hook").stdout
    assert "no job on this machine delivers, and none elsewhere has taken it up" in said
    server.received.clear()
    with running(root, "--only", "evaluate,deliver") as job:
        eventually(lambda: "ann+" in server.accepted("hook"), job)
        assert job.stop() == 0
