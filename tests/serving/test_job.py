"""The server of a real job, and one of its own beside a job."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dataflows.backfill import request_backfill
from dataflows.ownership import usher_folder
from tests.cli.jobs import Job, eventually, finished, now, running
from tests.cli.projects import changed, page, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, metrics, new_key
from warehouse.versions import Versions, default_store

USERS = "/v1/warehouse/users"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", changed(serving=ANYWHERE))


def addresses(one: Job) -> tuple[str, str]:
    """Where it serves, and its metrics."""
    said = eventually(lambda: re.findall(r"(?:server|metrics) at (\S+)\n", one.errors()), one)
    assert len(said) == 2
    return said[0], said[1]


@contextmanager
def serving_alone(root: Path) -> Iterator[tuple[Job, str, str]]:
    with running(root, "--only", "serve") as one:
        yield (one, *addresses(one))


def pulls(url: str, key: str) -> list[dict[str, Any]]:
    return ask(f"{url}{USERS}/pulls", key).json()["pulls"]


def test_a_pull_through_the_api_moves_members(project: Path) -> None:
    with running(project) as one:
        url, figures = addresses(one)
        key = new_key(loaded_from(project), "warehouse:pull")
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        lines = "".join(page("u2", number, now()) for number in range(2))
        (project / "live" / "1.jsonl").write_text(lines)
        eventually(lambda: metrics(figures)["usher_events_read_total"] == 2, one)
        (project / "users.csv").write_text("user_id,ltv\nu1,20\nu2,50\nu3,1\n")
        asked = ask(f"{url}{USERS}/pulls", key, "POST", json={"full": True})
        assert asked.status_code == 202
        eventually(lambda: [each["status"] for each in pulls(url, key)] == ["succeeded"] * 2, one)
        pull, _ = pulls(url, key)
        assert pull["trigger"] == "on_demand"
        assert pull["pull_date"] >= asked.json()["asked_at"]
        assert (pull["rows"], pull["moved"], pull["extent"]) == (3, 2, "full")
        one.await_told(("u3", "entered", "quiet", "warehouse_pull"))
        eventually(
            lambda: (
                metrics(figures)['usher_audience_members{audience="quiet",parent_model="users"}']
                == 3
            ),
            one,
        )
        assert 0 <= metrics(figures)["usher_clock_lag_seconds"] < 30
        # One that is asked for while another is under way follows it.
        versions = Versions(default_store(project), "users")
        with versions.locked():
            assert ask(f"{url}{USERS}/pulls", key, "POST").status_code == 202
        eventually(lambda: len(pulls(url, key)) == 3, one)
        eventually(lambda: pulls(url, key)[0]["status"] == "succeeded", one)
        # What is asked for and fails is in the history, and the job goes on.
        (project / "users.csv").unlink()
        assert ask(f"{url}{USERS}/pulls", key, "POST").status_code == 202
        eventually(lambda: pulls(url, key)[0]["status"] == "failed", one)
        eventually(lambda: "what is in force stays\n" in one.errors(), one)
        assert one.stop() == 0


def test_beside_a_job_or_without_one(project: Path) -> None:
    with serving_alone(project) as (one, url, figures):
        key = new_key(loaded_from(project), "admin")
        eventually(
            lambda: (
                ask(f"{url}/readyz").json().get("reasons")
                == ["no job evaluates: none has begun to"]
            ),
            one,
        )
        found = ask(f"{url}{USERS}", key).json()
        assert {each["state"] for each in found["audiences"]} == {"pending"}
        assert ask(f"{url}{USERS}/pulls", key, "POST").status_code == 202
        eventually(lambda: [each["status"] for each in pulls(url, key)] == ["succeeded"], one)
        assert "usher_events_read_total" not in metrics(figures)
        # A backfill is somebody else's.
        request_backfill(usher_folder(project))
        time.sleep(2.5)
        assert one.errors().count("usher: running; ") == 1
        (usher_folder(project) / "backfill").unlink()
        # Definitions that change are followed.
        audiences = {"late": changed()["audiences"]["quiet"]}
        definition = changed(serving=ANYWHERE, audiences=audiences, syncs=None)
        (project / "usher.yml").write_text(json.dumps(definition))
        eventually(
            lambda: (
                ask(f"{url}{USERS}", key).json()["audiences"]
                == [{"audience": "late", "state": "current"}]
            ),
            one,
        )
        with running(project, "--only", "evaluate") as other:
            assert "HTTP server at" not in other.errors()
            figures_of_job = eventually(
                lambda: re.findall(r"metrics at (\S+)\n", other.errors()), other
            )[0]
            eventually(lambda: "usher_clock_lag_seconds" in metrics(figures_of_job), other)
            eventually(lambda: metrics(figures)["usher_transitions_total"] == 2, other)
            eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
            assert other.stop() == 0
        assert one.stop() == 0


def test_clients_that_go_while_they_are_answered(project: Path) -> None:
    with serving_alone(project) as (one, url, _):
        host, port = url.removeprefix("http://").split(":")
        for _ in range(100):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: usher\r\n\r\n" * 30)
                assert client.recv(1)
        assert ask(f"{url}/livez").status_code == 200
        assert one.stop() == 0


def test_an_address_that_is_taken_ends_it_at_once(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        (project / "usher.yml").write_text(json.dumps(changed(serving={"listen": address})))
        code, said = finished(project)
        assert (code, said) == (
            3,
            (
                f"usher: serving: listen: {address} cannot be listened at: another process "
                "has it; name another address\n"
            ),
        )


def test_each_part_has_metrics_and_the_first_of_a_machine_gets_the_address(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    (project / "usher.yml").write_text(json.dumps(changed(serving={"admin": address})))
    with running(project, "--only", "deliver") as one:
        assert f"usher: metrics at http://{address}/metrics\n" in one.errors()
        assert "HTTP server" not in one.errors()
        assert ask(f"http://{address}/livez").status_code == 200
        behind = 'usher_sync_transitions_behind{sync="all"}'
        assert metrics(f"http://{address}/metrics")[behind] == 0
        with running(project, "--only", "pull") as other:
            assert f"usher: {address} is taken, so this process has no metrics" in other.errors()
            assert other.errors().count("is taken") == 1
            assert other.stop() == 0
        assert one.stop() == 0
