"""Deliveries from end to end: a job, receivers that answer this and that, and what operators do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook

import cli.sync_requests
from tests.cli.hooks import Hooks
from tests.cli.jobs import eventually, now, running
from tests.cli.jobs import job as job_of
from tests.cli.operating import KEY, SECRET, Operator, definition, write
from tests.cli.projects import page, write_project


def in_order(sent: list[str]) -> bool:
    return all(sent.index(one.replace("-", "+")) <= sent.index(one) for one in sent)


def ids(server: Hooks, path: str) -> set[str]:
    return {one.id for one in server.at(path)}


def test_each_answer_and_what_is_done_about_it(tmp_path: Path, server: Hooks) -> None:
    failures = iter([500, 503, 500])
    server.says = {
        "flaky": lambda _: next(failures, 200),
        "refusing": lambda _: 401,
        "gone": lambda _: 410,
        "picky": lambda record: 400 if record["user_id"] == "bad" else 200,
    }
    everybody = {f"{user}{kind}" for user in ("ann", "bob", "bad") for kind in "+-"}
    syncs = ("flaky", "refusing", "gone", "picky")
    mapping = {"user_id": "{{ user_id }}", "type": "{{ type }}", "mail": "{{ user_id }}@mail.test"}
    project = definition(server, *syncs, within="2s", picky={"mapping": mapping})
    root = write_project(tmp_path / "shop", project)
    op = Operator(root)
    with running(root) as job:
        write(root, *(page(user, user, now()) for user in ("ann", "bob", "bad")), '{"broken\n')
        eventually(lambda: len(job.lines()) == 6, job)
        eventually(lambda: set(server.accepted("flaky")) == everybody, job)
        assert in_order(server.accepted("flaky"))
        assert ids(server, "flaky") == {one["id"] for one in job.transitions()}
        sent = {(one.id, one.body) for one in server.at("flaky")}
        assert len(sent) == 6, "what is sent again is the same"
        Webhook(SECRET).verify(server.at("flaky")[0].body, server.at("flaky")[0].headers)

        # Credentials that are refused: nothing is dropped, and it goes on where it was.
        eventually(lambda: op.standing("refusing")["state"] == "paused", job)
        standing = op.standing("refusing")
        assert "401" in standing["reason"]
        assert standing["since"]
        assert (standing["sent"], standing["dead"]) == (0, 0)
        eventually(lambda: op.standing("refusing")["lag"]["transitions"] == 6, job)
        assert "sync 'refusing' pauses" in job.errors()
        del server.says["refusing"]
        assert op.facts("sync", "resume", "refusing") == [
            {
                "sync": "refusing",
                "asked": "resume",
                "id": None,
                "taken": True,
                "running": True,
            }
        ]
        eventually(lambda: set(server.accepted("refusing")) == everybody, job)
        assert in_order(server.accepted("refusing"))

        # A destination that is gone: disabled until somebody says otherwise.
        eventually(lambda: op.standing("gone")["state"] == "disabled", job)
        assert len(server.at("gone")) <= 8, "nothing was sent after that"
        del server.says["gone"]
        assert "gone: resume is under way" in op.run("sync", "resume", "gone").stdout
        eventually(lambda: set(server.accepted("gone")) == everybody, job)

        # What is rejected: a dead letter, and the others go on.
        eventually(lambda: op.standing("picky")["dead_letters"] == 2, job)
        first, second, event = op.facts("dead-letters")
        assert [one["transition"] for one in (first, second)] == ["entered", "exited"]
        assert (first["sync"], first["user_id"], first["status"]) == ("picky", "bad", 400)
        assert op.facts("dead-letters", "list", "--sync", "picky") == [first, second]
        (shown,) = op.facts("dead-letters", "show", first["id"])
        rejected = server.at("picky", 400)[0]
        assert shown["record"]["id"] == rejected.id
        assert rejected.record["mail"] == "bad@mail.test"
        assert '"mail":"***"' in shown["request"]
        assert "noted" in shown["response"]
        assert "webhook-signature: ***" in shown["request"]
        (shown,) = op.facts("dead-letters", "show", event["id"])
        assert shown["excerpt"] == '{"broken'
        assert "mend it" in op.run("dead-letters", "replay", event["id"], code=2).output
        assert "no dead letter" in op.run("dead-letters", "replay", "0815", code=2).output
        del server.says["picky"]
        follow = ["deliveries", "picky", "--log", "0", "--follow"]
        with job_of(root, words=follow) as follower:
            eventually(lambda: "picky  running" in follower.lines(), follower)
            op.run("dead-letters", "replay", first["id"])
            eventually(lambda: server.accepted("picky")[-1] == "bad+", job)
            eventually(lambda: f"webhook-id: {first['id']}" in "".join(follower.lines()), follower)
        eventually(lambda: op.standing("picky")["dead_letters"] == 1, job)
        op.run("dead-letters", "replay")
        eventually(lambda: set(server.accepted("picky")) == everybody, job)
        assert server.at("picky", 200)[-1].body == server.at("picky", 400)[-1].body
        assert job.stop() == 0

    # The same can be asked without a job.
    for one in op.facts("deliveries"):
        assert (one["state"], one["sent"], one["parked"], one["dead_letters"]) == (
            "running", 6, 0, 0,
        )  # fmt: skip
        assert one["lag"] == {"transitions": 0, "seconds": 0}
        assert one["last_error"]["at"]
    assert [one["dead"] for one in op.facts("deliveries")] == [0, 0, 2, 0]
    state, *attempts = op.facts("deliveries", "flaky", "--log", "100")
    assert (state["sync"], state["failed"]) == ("flaky", 3)
    assert sorted(one["status"] for one in attempts) == [200] * 6 + [500, 500, 503]
    assert [one["number"] for one in attempts] == list(range(1, 10))
    assert op.run("deliveries", "flaky", "--log", "1").stdout.count("POST") == 1
    assert op.facts("dead-letters") == [event]
    assert "no delivery" in op.run("dead-letters", "replay").stderr
    op.found_nothing_secret(job)
    assert "mail.test" not in op.printed, "nor anything personal that a mapping made"


def test_a_job_that_is_killed_a_resync_and_syncs_that_come_later(
    tmp_path: Path, server: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = {f"u{number}" for number in range(300)}
    root = write_project(tmp_path / "shop", definition(server, "hook"))
    op = Operator(root)
    server.delay = 0.05
    with running(root) as killed:
        write(root, *(page(user, user, now()) for user in sorted(users)))
        eventually(lambda: len(server.at("hook")) > 100, killed)
        killed.process.kill()
        killed.process.wait()
    server.delay = 0.0
    assert len(server.at("hook")) < 300, "it was killed in the midst"
    with running(root) as second:
        eventually(lambda: {one.record["user_id"] for one in server.at("hook")} == users, second)
        eventually(lambda: op.standing("hook")["lag"]["transitions"] == 0, second)
        bodies: dict[str, bytes] = {}
        for one in server.at("hook"):
            assert bodies.setdefault(one.id, one.body) == one.body
        assert len(bodies) == 300

        server.received.clear()
        op.run("sync", "resync", "hook")
        eventually(lambda: ids(server, "hook") == set(bodies), second)
        assert second.stop() == 0

    # Asked for while nobody delivers, it waits for the next job; new syncs begin as they say.
    monkeypatch.setattr(cli.sync_requests, "PATIENCE", 0.1)
    syncs = definition(server, "hook", "later", "held", held={"initial": "hold"})
    (root / "usher.yml").write_text(json.dumps(syncs))
    server.received.clear()
    (asked,) = op.facts("sync", "resync", "hook")
    assert (asked["taken"], asked["running"]) == (False, False)
    assert "no job runs that delivers" in op.run("sync", "resume", "hook").stdout
    assert op.standing("hook")["asked"] == ["resync", "resume"]
    assert op.standing("later")["state"] == "new"
    assert "and no job has;" in op.run("sync", "resync", "later", code=3).output
    with running(root) as third:
        eventually(lambda: all(ids(server, one) == set(bodies) for one in ("hook", "later")), third)
        write(root, page("new", "new", now()))
        eventually(lambda: all("new+" in server.accepted(one) for one in syncs["syncs"]), third)
        assert server.accepted("held") == ["new+"]
        assert third.stop() == 0
    assert [one["members"] for one in op.facts("deliveries")] == [None, "sent", "sent"]
    assert op.standing("hook")["asked"] == []
    op.found_nothing_secret(killed, second, third)


def test_a_sample_is_marked(tmp_path: Path, server: Hooks) -> None:
    mail = "{{ user_id }}@example.com"
    mapping = {"mapping": {"who": "{{ user_id }}", "mail": mail, "in": "{{ entered }}"}}
    only = {"only_if": {"ltv": {"at_least": 10}}, "on": ["exited"]}
    project = definition(server, "plain", "mapped", "some", mapped=mapping, some=only)
    op = Operator(write_project(tmp_path / "shop", project))
    (answer,) = op.facts("sync", "test", "plain")
    (sample,) = server.at("plain")
    assert (answer["verdict"], answer["status"], answer["response"]) == ("accepted", 200, "noted")
    assert answer["id"] == sample.id == sample.record["id"]
    assert sample.id.startswith("test-")
    assert (sample.record["test"], sample.record["user_id"]) == (True, "test-user")
    assert sample.record["type"] == "entered"

    (answer,) = op.facts("sync", "test", "mapped", "--type", "exited")
    (sample,) = server.at("mapped")
    assert sample.record == {"who": "test-user", "mail": "test-user@example.com", "in": False}
    assert '{"who":"test-user","mail":"***","in":false}' in answer["request"]
    assert sample.id.startswith("test-")

    assert "usher pull users" in op.run("sync", "test", "some", code=3).output
    op.run("pull")
    op.run("sync", "test", "some", "--user", "u2")
    (sample,) = server.at("some")
    assert (sample.record["user_id"], sample.record["type"]) == ("u2", "exited")

    (previewed,) = op.facts("sync", "preview", "some", "--user", "u1")
    assert previewed["request"].startswith(f"POST {server.url('some')}/***?***\n")
    assert "webhook-signature: ***" in previewed["request"]
    assert '"user_id":"u1"' in previewed["request"]
    assert '"who":"u1"' in op.run("sync", "preview", "mapped", "--user", "u1").stdout
    assert len(server.received) == 3, "nothing was sent by that"

    server.says["plain"] = lambda _: 401
    refused = op.run("sync", "test", "plain", code=3).stdout
    assert "POST" in refused
    assert "refused" in refused.splitlines()[-1]
    assert SECRET not in op.printed
    assert KEY not in op.printed
    assert not list((op.root / ".usher").glob("state.db*")), "nothing is remembered of it"


def test_what_cannot_be_asked(tmp_path: Path, server: Hooks) -> None:
    op = Operator(write_project(tmp_path / "shop", definition(server, "hook")))
    for verb in (["deliveries", "huk"], ["sync", "resume", "huk"], ["dead-letters", "--sync", "a"]):
        assert "the project has hook" in op.run(*verb, code=2).output
    assert "which: usher deliveries SYNC" in op.run("deliveries", "--follow", code=2).output
    assert "nothing has been recorded yet" in op.run("deliveries", code=3).output
    assert "nothing has been recorded yet" in op.run("sync", "resume", "hook", code=3).output
    assert not (op.root / ".usher" / "state.db").exists()
    assert op.facts("dead-letters") == []
    op.run("dead-letters", "replay", "--all", "--sync", "hook", code=2)
    op.run("dead-letters", "--format", "json", "list", code=2)
