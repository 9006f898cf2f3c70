"""Who runs a job sees how it is, from outside, and nothing of whom it is about."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.jobs import Job, ended, eventually, job, now, running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, metrics, new_key
from tests.serving.test_job import addresses

# Whatever of it is found where it should not be.
CANARY = "canary"
USER = f"{CANARY}-user@shop.example"
WRITE_KEY = f"{CANARY}-write-key"

PULLED = "SELECT user_id, CAST(ltv AS INTEGER) AS ltv FROM 'users.csv'"

DEFINITION = changed(
    parent_models={
        "users": {
            "from": {"query": PULLED},
            "primary_key": "user_id",
            "properties": {"ltv": "number"},
        }
    },
    sources={"web": {"type": "http", "format": "segment", "write_keys": [WRITE_KEY]}},
    destinations={
        "archive": {"type": "file", "path": "out/transitions.jsonl"},
        "hook": {
            "type": "webhook",
            "url": "http://127.0.0.1:9/hook",
            "secret": "${HOOK}",
            "allow_http": True,
            "allow_private_hosts": ["127.0.0.1"],
        },
    },
    syncs={
        "all": {"audience": "keen", "destination": "archive"},
        "told": {"audience": "keen", "destination": "hook"},
    },
    serving=ANYWHERE,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOOK", "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmFyeQ==")
    return write_project(tmp_path / "project", DEFINITION, f"user_id,ltv\n{USER},20\nu2,5\n")


def view(number: int, at: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "page",
        "userId": USER,
        "anonymousId": f"{CANARY}-device",
        "messageId": f"{CANARY}-{number}",
        "timestamp": at,
        "properties": {"path": f"/{CANARY}"},
        "context": {"traits": {"email": USER}, "ip": "203.0.113.77"},
        **more,
    }


def post(url: str, *events: object, key: str = WRITE_KEY) -> int:
    body = {"batch": list(events), "writeKey": key, "sentAt": now()}
    return ask(f"{url}/v1/batch?note={CANARY}", method="POST", json=body).status_code


def families(figures: str) -> dict[str, Metric]:
    text = ask(figures).text
    found = {one.name: one for one in text_string_to_metric_families(text)}
    assert all(one.documentation and one.type != "unknown" for one in found.values())
    return found


def busy(url: str, key: str) -> None:
    """Everything that can be sent and asked, right and wrong."""
    late = view(4, "2020-01-01T00:00:00Z")
    ahead = view(6, now(3_600))
    ignored = {**view(7, now()), "type": "track", "event": CANARY}
    twice = view(2, now())
    batch = [view(1, now()), twice, twice, late, ahead, ignored, 5, {"x": USER}]
    assert post(url, *batch) == 200
    assert post(url, view(8, now()), key=f"{CANARY}-nobody") == 400
    ask(f"{url}/v1/t?writeKey={WRITE_KEY}", method="POST", data=f'{{"{USER}'.encode())
    assert ask(f"{url}/v1/audiences/users/{USER}?include=details", key).status_code == 200
    asked = {"user_ids": [USER]}
    assert ask(f"{url}/v1/audiences/users", key, "POST", json=asked).status_code == 200
    wanted = {"parent_model": "users", "user_id": USER}
    token = ask(f"{url}/v1/tokens", key, "POST", json=wanted).json()["token"]
    assert ask(f"{url}/v1/transitions?user_id={USER}&token={token}").status_code == 200
    assert ask(f"{url}/v1/transitions?token={token}x{CANARY}").status_code == 401
    assert ask(f"{url}/v1/audiences/{USER}/{USER}", key).status_code == 404
    assert ask(f"{url}/{CANARY}/{USER}", f"{key}{CANARY}").status_code == 404
    assert ask(f"{url}/v1/syncs?{CANARY}={USER}", key).status_code == 400


def pulls_that_fail(root: Path, url: str, key: str, one: Job) -> str:
    """What is said of rows that cannot be used, to whoever asks."""
    pulls = f"{url}/v1/warehouse/users/pulls"
    bad = {"is not unique": f"{USER},20\n{USER},5\n", "Conversion Error": f"u2,{USER}\n{USER},5\n"}
    for reason, rows in bad.items():
        (root / "users.csv").write_text(f"user_id,ltv\n{rows}")
        assert ask(pulls, key, "POST").status_code == 202
        eventually(lambda: reason in one.errors(), one)  # noqa: B023
    said = ask(pulls, key).text
    assert all(reason in said for reason in bad)
    return said


COUNTED = ("matched", "ignored", "duplicate", "late", "invalid")


def are_counted(figures: str) -> bool:
    """All that was sent, each once."""
    found = metrics(figures)
    counted = [found[f"usher_events_{one}_total"] for one in COUNTED]
    return found["usher_events_read_total"] == sum(counted) == 9


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_busy_job_says_how_it_is_and_nothing_of_anybody(project: Path, workers: str) -> None:
    with job(project, "--workers", workers, "--log-format", "json") as one:
        eventually(lambda: "running; stop with" in one.errors(), one)
        lines = [json.loads(line)["message"] for line in one.errors().splitlines()]
        url, figures = (line.split(" at ")[1] for line in lines if re.search(" at http", line))
        key = new_key(loaded_from(project), "admin")
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        busy(url, key)
        eventually(lambda: are_counted(figures), one)
        found = metrics(figures)
        assert found["usher_events_duplicate_total"] == 1
        assert found["usher_events_late_total"] == 1
        assert found['usher_source_records_total{source="web"}'] == 9
        letters = "usher_source_dead_letters_total"
        counted = [count for name, count in found.items() if name.startswith(letters)]
        assert sum(counted) == found["usher_events_invalid_total"]
        for reason in ("not a JSON object", "not JSON"):
            assert found[f'{letters}{{reason="{reason}",source="web"}}'] == 1
        assert 0 <= found['usher_source_lag_seconds{source="web"}'] < 60
        one.await_told((USER, "exited", "keen", "window_expired"))
        count = "usher_transition_delay_seconds_count"
        eventually(lambda: metrics(figures)[f'{count}{{cause="window_expired"}}'] >= 2, one)
        assert metrics(figures)[f'{count}{{cause="event"}}'] >= 1
        sent = 'usher_sync_messages_total{outcome="sent",sync="all"}'
        eventually(lambda: metrics(figures).get(sent, 0) >= 2, one)
        found = metrics(figures)
        of_users = 'path="/v1/audiences/{parent_model}/{user_id}"'
        assert found[f'usher_http_requests_total{{{of_users},status="200"}}'] == 1
        assert found[f'usher_http_requests_total{{{of_users},status="404"}}'] == 1
        assert found['usher_http_requests_total{path="",status="404"}'] == 1
        assert found[f"usher_http_answer_seconds_count{{{of_users}}}"] == 2
        shown = families(figures)
        text = ask(figures).text
        history = pulls_that_fail(project, url, key, one)
        assert set(shown) == documented(), set(shown) ^ documented()
        assert one.stop() == 0
    for said in (text, history, one.errors()):
        assert CANARY not in said
        assert "203.0.113.77" not in said
        assert key[:14] not in said
    for line in one.errors().splitlines():
        facts = json.loads(line)
        assert list(facts) == ["at", "process", "level", "message"]
        assert (facts["level"] != "info") is bool(re.search(BAD, facts["message"])), facts
        assert facts["at"].endswith("Z")


# What is not as it should be in such a job.
BAD = r"fails: .* cannot be|is not unique|Conversion Error|is not delivered yet|starts again"


def test_mistakes_are_objects_of_the_log_as_well(project: Path) -> None:
    definitions = project / "usher.yml"
    good = definitions.read_text()
    bad = {**DEFINITION, "audiences": {"keen": {"parent_model": "nobody"}, "shy": {}}}
    definitions.write_text(json.dumps(bad))
    with job(project, "--log-format", "json") as one:
        assert one.process.wait(60) == 2
    *mistakes, summary = [json.loads(line) for line in one.errors().splitlines()]
    assert len(mistakes) > 1
    assert {one["level"] for one in (*mistakes, summary)} == {"error"}
    assert all(re.match(r"usher.yml:\d+:\d+: ", one["message"]) for one in mistakes)
    assert re.match(r"\d errors", summary["message"])
    definitions.write_text(good)
    with job(project, "--log-format", "json") as one:
        eventually(lambda: "running; stop with" in one.errors(), one)
        one.process.send_signal(signal.SIGHUP)
        eventually(lambda: "the definitions have not changed" in one.errors(), one)
        definitions.write_text(json.dumps(bad))
        eventually(lambda: "the job goes on with those before" in one.errors(), one)
        assert one.stop() == 0
    lines = [json.loads(line) for line in one.errors().splitlines()]
    assert {one["message"] for one in lines if one["level"] == "error"} == {
        "the definitions have mistakes; the job goes on with those before",
        *(one["message"] for one in mistakes),
    }


@pytest.mark.parametrize("where", ["raise_()", "threading.Thread(target=raise_).start()"])
def test_a_fault_is_an_object_of_the_log_without_its_own_words(where: str) -> None:
    code = f"""
import threading
from dataflows.log_lines import log_json
def raise_():
    raise ValueError("{USER}")
log_json()
{where}
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root
    )
    (said,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert said["level"] == "error"
    assert re.fullmatch(r"a fault of ours: ValueError at .*<string>:\d+", said["message"])
    assert CANARY not in done.stderr


def documented() -> set[str]:
    """The names in the table of metrics, as Prometheus has those of families."""
    text = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
    names = re.findall(r"`(usher_[a-z_]+)`", text.partition("| metric |")[2])
    return {one.removesuffix("_total") for one in names}


def stream(host: str, port: int, key: str, last: str = "") -> socket.socket:
    line = socket.create_connection((host, port), timeout=60)
    after = f"Last-Event-ID: {last}\r\n" if last else ""
    head = f"GET /v1/stream HTTP/1.1\r\nHost: x\r\n{after}Authorization: Bearer {key}\r\n\r\n"
    line.sendall(head.encode())
    return line


def told(line: socket.socket, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        part = line.recv(1 << 16)
        assert part, found
        found += part
    return found


@pytest.fixture
def fixed(project: Path) -> tuple[Path, str, int]:
    """At an address that it has again when it is started again."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    serving = {"listen": f"127.0.0.1:{port}", "admin": "127.0.0.1:0"}
    definition = {**DEFINITION, "serving": serving}
    write_project(project, definition, f"user_id,ltv\n{USER},20\nu2,5\n")
    return project, "127.0.0.1", port


def test_streams_end_so_that_clients_come_back_and_miss_nothing(
    fixed: tuple[Path, str, int],
) -> None:
    project, host, port = fixed
    url = f"http://{host}:{port}"
    with running(project) as one, ExitStack() as held:
        key = new_key(loaded_from(project), "audiences:read")
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        line = held.enter_context(stream(host, port, key))
        beginning = told(line, b"id: ")
        assert b"retry: 2000" in beginning
        assert post(url, view(1, now()), view(2, now())) == 200
        found = told(line, b'"cause":{"kind":"event"')
        last = re.findall(rb"id: (\d+)", found)[-1].decode()
        assert one.stop() == 0
        rest = b""
        while part := line.recv(1 << 16):
            rest += part
        assert rest.endswith(b"0\r\n\r\n")  # an end, and not a broken line
        # It may have been told of more before its end.
        last = ([last] + [each.decode() for each in re.findall(rb"id: (\d+)", rest)])[-1]
    with running(project) as one, ExitStack() as held:
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        line = held.enter_context(stream(host, port, key, last))
        one_after = str(int(last) + 1).encode()
        told(line, b"id: " + one_after)
        assert one.stop() == 0


def test_what_ends_a_job_is_in_its_log_too(project: Path) -> None:
    definition = {**DEFINITION, "serving": {"listen": "0.0.0.0:0"}}
    write_project(project, definition)
    with job(project, "--log-format", "json") as one:
        assert one.process.wait(60) == 3
    said = json.loads(one.errors().splitlines()[-1])
    assert said["message"].startswith("serving: other machines reach 0.0.0.0:0")


def test_keys_of_the_command_line_on_a_running_server(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project", changed(serving=ANYWHERE))
    with running(root, "--only", "serve") as one:
        url, _ = addresses(one)
        path = f"{url}/v1/audiences/users/u1"
        create = ("keys", "create", "--scope", "audiences:read", "--audience", "keen")
        key = ended(root, *create).stdout.strip()
        assert ask(path, key).status_code == 200
        assert ask(f"{url}/v1/transitions?audience=quiet", key).status_code == 403
        (listed,) = ended(root, "keys", "list", "--format", "json").stdout.splitlines()
        ended(root, "keys", "revoke", json.loads(listed)["id"])
        eventually(lambda: ask(path, key).status_code == 401)
        assert one.stop() == 0
