"""The server beside a job is a process of its own: what becomes of each when the other is gone."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from cli import children, hosting
from dataflows.ownership import sole_job
from dataflows.progress import Progress
from dataflows.refusal import JobRefused
from tests.cli.jobs import Job, eventually, finished, job, now, running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, metrics, new_key
from tests.serving.test_job import addresses
from tests.serving.test_tls import write_certificate

WEB = {"type": "http", "format": "segment", "write_keys": ["k"]}
MEMBER = "/v1/audiences/users/u1"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(
        tmp_path / "project", changed(serving=ANYWHERE, sources={"web": WEB}, syncs=None)
    )


def send(url: str, number: int) -> None:
    event = {"type": "page", "userId": "u1", "messageId": f"m{number}", "timestamp": now()}
    taken = ask(f"{url}/v1/batch", method="POST", json={"batch": [event], "writeKey": "k"})
    assert taken.status_code == 200


def has_read(figures: str, count: int) -> bool:
    return metrics(figures)["usher_events_read_total"] == count


def test_a_server_that_dies_comes_again_and_loses_nothing(project: Path) -> None:
    with running(project) as one:
        url, figures = addresses(one)
        key = new_key(loaded_from(project), "audiences:read")
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        for number in range(1, 4):
            send(url, number)
            os.kill(one.server, signal.SIGKILL)
            # Whoever asks meanwhile waits; whoever was connected is cut off.
            assert ask(f"{url}/livez").status_code == 200
            eventually(lambda: has_read(figures, number), one)  # noqa: B023
            eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        said = "usher: the process of the HTTP server has died (-9); it starts again in 0.5 s\n"
        assert one.errors().count(said) == 3
        # The new one asks the job, as the first did.
        found = ask(f"{url}{MEMBER}?include=details", key).json()
        assert found["as_of"] is not None
        assert one.stop() == 0
        assert one.errors().endswith("usher: stopped; 3 events read, 0 ignored, 0 invalid\n")


def test_a_server_that_hangs_holds_up_nothing(project: Path) -> None:
    with running(project) as one:
        url, _ = addresses(one)
        key = new_key(loaded_from(project), "audiences:read")
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        ask(f"{url}{MEMBER}?include=details", key)
        send(url, 1)
        send(url, 2)
        os.kill(one.server, signal.SIGSTOP)
        one.await_told(
            ("u1", "entered", "keen", "event"),
            ("u1", "exited", "keen", "window_expired"),
            ("u1", "entered", "quiet", "window_expired"),
        )
        os.kill(one.server, signal.SIGCONT)
        assert ask(f"{url}{MEMBER}", key).json()["audience_ids"] == ["quiet"]
        assert one.stop() == 0


def test_a_job_that_is_killed_takes_its_server_along(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        listen = f"127.0.0.1:{door.getsockname()[1]}"
    write_project(
        project, changed(serving={**ANYWHERE, "listen": listen}, sources={"web": WEB}, syncs=None)
    )
    for number in range(3):
        with running(project) as one:
            url, _ = addresses(one)
            assert url == f"http://{listen}"
            send(url, number)
            one.process.kill()


# A server whose thread ends by a fault, and what looks after its certificate.
_DIES = """
import asyncio, sys
from serving import certificates, server
from cli.main import main

async def fails(*_arguments):
    await asyncio.sleep(0.2)
    raise RuntimeError("a user's id")

{what} = fails
sys.argv[1:1] = ["-C", {root!r}, "run", "--only", "serve"]
main()
"""


@pytest.mark.parametrize("what", ["server.uvicorn.Server.main_loop", "certificates.Renewing.renew"])
def test_a_server_whose_thread_dies_ends_its_process(project: Path, what: str) -> None:
    files = {"certificate": "certificate.pem", "private_key": "key.pem"}
    write_certificate(project)
    write_project(project, changed(serving={**ANYWHERE, **files}, sources={"web": WEB}, syncs=None))
    code = _DIES.format(what=what, root=str(project))
    with job(project, command=[sys.executable, "-c", code]) as one:
        assert one.process.wait(60) == 1
        assert "usher: http: the server has ended: RuntimeError at " in one.errors()
        assert "a user's id" not in one.errors()


def outcome_of(url: str) -> str:
    try:
        return str(ask(url).status_code)
    except requests.ConnectionError as error:
        return "refused" if "refused" in str(error) else "cut off"


@pytest.fixture
def unheard(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its destination does not answer, so that the end of a job takes a while."""
    monkeypatch.setenv("HOOK", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
    hook = {
        "type": "webhook",
        "url": "http://127.0.0.1:9/hook",
        "secret": "${HOOK}",
        "allow_http": True,
        "allow_private_hosts": ["127.0.0.1"],
    }
    return write_project(
        project,
        changed(
            serving=ANYWHERE,
            sources={"web": WEB},
            destinations={"hook": hook},
            syncs={"told": {"audience": "keen", "destination": "hook"}},
        ),
    )


def assert_says_that_it_ends(one: Job, url: str, evaluator: Job) -> None:
    """It has something to deliver, which `evaluator` has found out."""
    eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
    send(url, 1)
    send(url, 2)
    evaluator.await_told(("u1", "entered", "keen", "event"))
    one.process.send_signal(signal.SIGTERM)
    eventually(lambda: ask(f"{url}/readyz").status_code == 503, one)
    assert ask(f"{url}/readyz").json()["reasons"] == ["the job is ending"]


def test_a_job_that_ends_says_so_and_answers_until_nobody_is_there(unheard: Path) -> None:
    with running(unheard) as one:
        url, _ = addresses(one)
        key = new_key(loaded_from(unheard), "audiences:read")
        assert_says_that_it_ends(one, url, one)
        assert ask(f"{url}{MEMBER}", key).status_code == 200
        found = []
        while one.process.poll() is None:
            found.append(outcome_of(f"{url}/livez"))
        # Who comes at the very instant at which the door is shut is cut off: the system has let
        # them in, and nobody else has.
        assert found.count("cut off") <= 1
        assert {"200", "refused"} <= set(found)
        assert one.process.returncode == 0


def test_a_server_beside_deliveries_says_so_while_these_end(unheard: Path) -> None:
    with (
        running(unheard, "--only", "evaluate,pull") as evaluator,
        running(unheard, "--only", "deliver,serve") as one,
    ):
        url, _ = addresses(one)
        assert_says_that_it_ends(one, url, evaluator)
        assert one.process.wait(60) == 0


def test_a_server_that_cannot_be_started_is_tried_again_or_ends_the_job(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory, or descriptors, may be lacking for a while."""
    begin, begun = children.start_child, list[subprocess.Popen[bytes]]()
    lacking = 1

    def start_child(*args: Any, **more: Any) -> Any:
        if len(begun) == lacking:
            begun.append(begun[0])
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        process, connection = begin(*args, **more)
        begun.append(process)
        return process, connection

    monkeypatch.setattr("cli.hosting.start_child", start_child)
    said = "the process of the HTTP server cannot be started: Cannot allocate memory"
    with (
        sole_job(project) as lock,
        hosting.hosting(
            loaded_from(project), Progress(), lock, for_clients=True, is_shared=False
        ) as one,
    ):
        one.announce()
        (url,) = re.findall(r"server at (\S+)\n", capsys.readouterr().err)
        begun[0].kill()
        eventually(lambda: len(begun) == 3)
        assert ask(f"{url}/livez").status_code == 200
        assert f"{said}; it starts again in 1 s" in capsys.readouterr().err
    lacking = len(begun)
    with (
        sole_job(project) as lock,
        hosting.hosting(
            loaded_from(project), Progress(), lock, for_clients=True, is_shared=False
        ) as one,
        pytest.raises(JobRefused, match=said),
    ):
        one.announce()


def test_a_server_that_cannot_begin_ends_the_job(project: Path) -> None:
    with running(project, "--only", "serve") as other:
        code, said = finished(project)
        assert code == 3
        assert "another process collects" in said
        assert "HTTP server at" not in said
        assert "Traceback" not in said
        assert other.stop() == 0
