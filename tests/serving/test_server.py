"""What a server answers: to whom, in which form, and where it cannot."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from audience_dsl.instants import SECOND
from connectors.wall_clock import wall_clock
from dataflows.progress import Progress
from dataflows.summary import RecordCounts
from membership.job_note import JobNote
from membership.reader import MembershipReader
from project.stores import open_job_notes, open_store
from serving import health, reminders
from serving.scopes import Scope
from serving.tokens import Token, new_token, read_token
from tests.cli.jobs import eventually
from tests.serving.asking import Server, held_up, new_key, project, pulled, server

DAY = 86_400 * SECOND
USERS = "/v1/warehouse/users"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Beside a project that was pulled just now."""
    loaded = project(tmp_path_factory.mktemp("here") / "project")
    pulled(loaded, wall_clock())
    open_store(loaded).close()
    with server(loaded, Progress()) as one:
        yield one


@pytest.fixture(scope="module")
def keys(here: Server) -> dict[str, str]:
    return {str(scope): new_key(here.loaded, scope) for scope in Scope}


READ = {"audiences:read", "warehouse:pull", "admin"}
PULL = {"warehouse:pull", "admin"}


@pytest.mark.parametrize("scope", list(Scope), ids=str)
@pytest.mark.parametrize(
    ("method", "path", "allowed", "status"),
    [
        ("GET", USERS, READ, 200),
        ("GET", f"{USERS}/pulls", READ, 200),
        ("POST", f"{USERS}/pulls", PULL, 202),
    ],
)
def test_a_key_allows_what_its_scope_says(
    here: Server,
    keys: dict[str, str],
    scope: Scope,
    method: str,
    path: str,
    allowed: set[str],
    status: int,
) -> None:
    answer = here.ask(path, keys[scope], method)
    assert answer.status_code == (status if scope in allowed else 403)
    assert here.ask(path, method=method).status_code == 401
    if scope not in allowed:
        assert answer.json()["detail"].startswith("this needs a key with the scope ")


def test_a_key_that_is_none(here: Server, keys: dict[str, str]) -> None:
    known = read_token(keys["admin"])
    assert known is not None
    made_up = [
        "nonsense",
        new_token().text,
        Token(known.id, new_token().secret).text,
        keys["admin"][:-1],
        new_key(here.loaded, "admin", expires_at=wall_clock() - 1),
    ]
    for one in made_up:
        answer = here.ask(USERS, one)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "mistyped, unknown, revoked or expired" in answer.json()["detail"]
    for header in ("", "Bearer", "Basic dTpw", f"Basic {keys['admin']}", "Bearer \u00e4"):
        answer = here.ask(USERS, headers={"Authorization": header.encode()})
        assert answer.status_code == 401


def is_refused(here: Server, key: str) -> bool:
    return here.ask(USERS, key).status_code == 401


def test_a_key_that_expires_and_one_that_is_revoked(here: Server) -> None:
    soon = new_key(here.loaded, "admin", expires_at=wall_clock() + SECOND // 2)
    revoked = new_key(here.loaded, "admin")
    eventually(lambda: here.ask(USERS, revoked).status_code == 200)
    token = read_token(revoked)
    assert token is not None
    with closing(open_store(here.loaded)) as store:
        assert store.keys.revoke(token.id, wall_clock())
        assert not store.keys.revoke("unknown", wall_clock())
    for key in (soon, revoked):
        eventually(partial(is_refused, here, key))


def test_of_a_key_nothing_is_stored_that_could_be_used(here: Server, keys: dict[str, str]) -> None:
    stored = b"".join(one.read_bytes() for one in (here.loaded.root / ".usher").glob("state.db*"))
    for text in keys.values():
        token = read_token(text)
        assert token is not None
        assert token.digest.encode() in stored
        assert token.secret.encode() not in stored


def test_freshness_and_history(here: Server, keys: dict[str, str]) -> None:
    found = here.ask(USERS, keys["audiences:read"]).json()
    assert found["parent_model"] == "users"
    assert found["audiences"] == [
        {"audience": "keen", "state": "current"},
        {"audience": "quiet", "state": "current"},
    ]
    assert (found["is_stale"], found["is_refreshing"]) == (False, False)
    assert found["snapshot"]["rows"] == 2
    assert found["last_pull"]["version"] == found["snapshot"]["version"]
    assert found["next_pull"] > found["last_pull"]["pull_date"]
    history = here.ask(f"{USERS}/pulls", keys["admin"]).json()
    assert history == {"parent_model": "users", "pulls": [found["last_pull"]]}


def test_what_is_old_is_stale_there_and_in_the_metrics(tmp_path: Path) -> None:
    loaded = project(tmp_path / "project")
    key = new_key(loaded, "audiences:read")
    with server(loaded) as one:
        states = [each["state"] for each in one.ask(USERS, key).json()["audiences"]]
        assert states == ["pending", "pending"]
        for days in (3, 2):
            pulled(loaded, wall_clock() - days * DAY)
        found = one.ask(USERS, key).json()
        assert [each["state"] for each in found["audiences"]] == ["stale", "stale"]
        assert found["is_stale"]
        dates = [each["pull_date"] for each in one.ask(f"{USERS}/pulls", key).json()["pulls"]]
        assert dates == sorted(dates, reverse=True)
        (newest,) = one.ask(f"{USERS}/pulls?limit=1", key).json()["pulls"]
        assert newest == found["last_pull"]
        samples = one.metrics()
    of_users = 'parent_model="users"'
    assert samples[f'usher_audience_freshness{{audience="keen",{of_users},state="stale"}}'] == 1
    assert samples[f'usher_audience_freshness{{audience="keen",{of_users},state="current"}}'] == 0
    assert samples[f"usher_snapshot_age_seconds{{{of_users}}}"] == pytest.approx(
        2 * 86_400, rel=0.01
    )
    assert samples[f"usher_snapshot_rows{{{of_users}}}"] == 2
    assert samples[f"usher_last_pull_succeeded{{{of_users}}}"] == 1
    assert samples[f"usher_last_pull_rows{{{of_users}}}"] == 2
    assert samples[f'usher_pulls{{{of_users},status="succeeded",trigger="scheduled"}}'] == 2
    assert samples[f'usher_audience_members{{audience="keen",{of_users}}}'] == 0
    assert samples["usher_transitions_total"] == 0
    assert samples["usher_ready"] == 0  # no job evaluates


def test_one_pull_is_for_all_who_ask(here: Server, keys: dict[str, str]) -> None:
    path, key = f"{USERS}/pulls", keys["warehouse:pull"]
    first = here.ask(path, key, "POST")
    assert first.headers["location"] == path
    second = here.ask(path, key, "POST", json={"full": True}).json()
    assert (second["parent_model"], second["joined"]) == ("users", True)
    assert second["asked_at"] > first.json()["asked_at"]


@pytest.mark.parametrize(
    ("method", "path", "status", "more"),
    [
        ("GET", "/", 404, {}),
        ("GET", "/v1/warehouse/", 404, {}),
        ("GET", "/metrics", 404, {}),
        ("GET", "/v1/warehouse/nobody", 404, {}),
        ("GET", "/v1/warehouse/nobody/pulls", 404, {}),
        ("POST", "/v1/warehouse/nobody/pulls", 404, {}),
        ("GET", "/v1/warehouse/users%2Fpulls%00", 404, {}),
        ("DELETE", f"{USERS}/pulls", 405, {}),
        ("POST", "/livez", 405, {}),
        ("GET", f"{USERS}/pulls?limit=0", 400, {}),
        ("GET", f"{USERS}/pulls?limit=1001", 400, {}),
        ("GET", f"{USERS}/pulls?limit=9999999999", 400, {}),
        ("GET", f"{USERS}/pulls?limit=-1", 400, {}),
        ("GET", f"{USERS}/pulls?limit=\u0663", 400, {}),
        ("GET", f"{USERS}/pulls?limit=", 400, {}),
        ("GET", f"{USERS}/pulls?limit=1&limit=2", 400, {}),
        ("GET", f"{USERS}/pulls?limt=1", 400, {}),
        ("GET", f"{USERS}?limit=1", 400, {}),
        ("POST", f"{USERS}/pulls?full=true", 400, {}),
        ("POST", f"{USERS}/pulls", 400, {"data": b"{"}),
        ("POST", f"{USERS}/pulls", 400, {"data": b"\xff\xfe"}),
        ("POST", f"{USERS}/pulls", 400, {"data": b"[" * 60_000}),
        ("POST", f"{USERS}/pulls", 400, {"json": {"full": "yes"}}),
        ("POST", f"{USERS}/pulls", 400, {"json": {"ful": True}}),
        ("POST", f"{USERS}/pulls", 400, {"json": []}),
        ("POST", f"{USERS}/pulls", 413, {"data": b" " * 70_000}),
        ("POST", f"{USERS}/pulls", 413, {"data": iter([b" " * 70_000])}),
    ],
)
def test_what_cannot_be_answered_is_a_problem(
    here: Server,
    keys: dict[str, str],
    method: str,
    path: str,
    status: int,
    more: dict[str, object],
) -> None:
    answer = here.ask(path, keys["admin"], method, **more)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail"}
    assert len(body["detail"]) > 20


def test_answers_are_safe_in_a_browser_and_name_no_software(here: Server) -> None:
    for path in ("/livez", "/nothing", USERS):
        headers = here.ask(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


def test_a_fault_of_ours_is_told_to_the_log_alone(
    here: Server, keys: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.ask(USERS, keys["admin"]).status_code == 200
    loaded = here.service.loaded
    here.service.loaded = None  # type: ignore[assignment]
    try:
        for _ in range(3):
            answer = here.ask(USERS, keys["admin"])
    finally:
        here.service.follow(loaded)
    assert answer.status_code == 500
    assert answer.json()["detail"].startswith("a fault of ours")
    said = "http: a fault of ours while answering /v1/warehouse/{parent_model}: AttributeError at "
    told = [eventually(lambda: capsys.readouterr().err)]
    assert here.ask(USERS, keys["admin"]).status_code == 200
    told.append(capsys.readouterr().err)
    assert "".join(told).count(said) == 1  # in a minute, however many requests meet it


def test_a_store_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = project(tmp_path / "project")
    key = new_key(loaded, "admin")
    for file in (loaded.root / ".usher").glob("state.db*"):
        file.write_bytes(b"nonsense" * 1000)
    with server(loaded) as one:
        for _ in range(2):
            answer = one.ask(USERS, key)
            assert answer.status_code == 503
            assert str(tmp_path) not in answer.text
        assert one.ask("/readyz").json()["reasons"] == ["the membership store cannot be read"]
        assert one.ask("/livez").status_code == 200
        assert one.metrics()["usher_ready"] == 0
        assert capsys.readouterr().err.count("the store is damaged") == 1
        monkeypatch.setattr(reminders, "_AGAIN", 0.0)  # a minute later
        assert one.ask(USERS, key).status_code == 503
        assert capsys.readouterr().err.count("the store is damaged") == 1


def test_keys_that_cannot_be_had_hold_up_no_other_answer(
    here: Server, keys: dict[str, str]
) -> None:
    """More ask than there are threads."""
    *_, of_keys = here.service._stores
    time.sleep(0.6)  # what is known of keys is too old then
    with held_up(of_keys), ThreadPoolExecutor(100) as many:
        began = time.monotonic()
        waiting = [many.submit(here.ask, USERS, keys["admin"]) for _ in range(100)]
        assert "status" in here.ask("/readyz").json()
        assert time.monotonic() - began < 15
        assert {one.result().status_code for one in waiting} == {503}
    eventually(lambda: here.ask(USERS, keys["admin"]).status_code == 200)


def test_a_store_that_says_nothing_makes_it_unready_soon(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_BELIEVED", 0.0)
    silence = "the membership store does not answer"
    with held_up(here.service.store), ThreadPoolExecutor(100) as many:
        began = time.monotonic()
        answers = list(many.map(lambda _: here.ask("/readyz"), range(100)))
        assert all(silence in one.json()["reasons"] for one in answers)
        assert time.monotonic() - began < 15
        assert here.ask("/livez").status_code == 200
    eventually(lambda: silence not in here.ask("/readyz").json()["reasons"])


def test_without_a_job_beside_it_readiness_follows_what_the_job_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_BELIEVED", 0.0)
    loaded = project(tmp_path / "project")
    open_store(loaded).close()

    def reasons(lag: int, silence: int = 0, *, has_caught_up: bool = True) -> list[str]:
        now = wall_clock()
        clock, noted_at = now - lag * SECOND, now - silence * SECOND
        notes.write(JobNote(clock=clock, has_caught_up=has_caught_up, noted_at=noted_at))
        answer = here.ask("/readyz")
        assert answer.status_code == (503 if "reasons" in answer.json() else 200)
        return answer.json().get("reasons", [])

    with server(loaded) as here, closing(open_job_notes(loaded)) as notes:
        assert here.ask("/readyz").json()["reasons"] == ["no job evaluates: none has begun to"]
        assert reasons(lag=1, has_caught_up=False) == [
            "the sources have not been read up to the start of the job"
        ]
        assert reasons(lag=1) == []
        assert reasons(lag=100) == ["the job is 100 s behind"]
        assert reasons(lag=100, silence=100) == [
            "no job evaluates: the last one was heard of 100 s ago"
        ]
        assert here.metrics()["usher_ready"] == 0


def test_ready_when_the_job_has_caught_up_and_keeps_up(here: Server) -> None:
    progress = here.progress
    assert progress is not None

    def reasons() -> list[str]:
        answer = here.ask("/readyz")
        assert answer.status_code == (503 if "reasons" in answer.json() else 200)
        assert here.metrics()["usher_ready"] == (answer.status_code == 200)
        return answer.json().get("reasons", [])

    assert reasons() == ["the job has not begun to evaluate"]
    progress.tell_time(wall_clock() - SECOND, has_caught_up=False)
    assert reasons() == ["the sources have not been read up to the start of the job"]
    progress.tell_time(wall_clock(), has_caught_up=True)
    assert reasons() == []
    progress.tell_time(wall_clock() - 100 * SECOND, has_caught_up=True)
    assert reasons() == ["the job is 100 s behind"]
    samples = here.metrics()
    assert samples["usher_clock_lag_seconds"] == pytest.approx(100, abs=30)
    assert samples["usher_events_read_total"] == 0


def test_whether_it_is_ready_may_be_asked_as_often_as_one_likes(
    here: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is read for it twice a second."""
    read, reads = here.service.read, []

    def counted(ask: Callable[[MembershipReader], object]) -> object:
        reads.append(ask)
        return read(ask)

    monkeypatch.setattr(here.service, "read", counted)
    began = time.monotonic()
    with ThreadPoolExecutor(10) as many:
        list(many.map(lambda _: here.ask("/readyz"), range(100)))
    assert len(reads) <= 2 + 2 * (time.monotonic() - began)


def test_the_progress_of_several_processes_is_one() -> None:
    whole, before = Progress(), Progress(RecordCounts(read=10))
    parts = [Progress(RecordCounts(read=1)), Progress(RecordCounts(read=2), 7, True)]
    parts[1].reached = {"web": 7}
    for part in (before, *parts):
        part.count_source("web", part.counts.read, ["not JSON: at 7"])
    whole.see(before, parts)
    whole.see(before, parts)
    assert (whole.counts.read, whole.clock, whole.has_caught_up) == (13, 7, True)
    assert (whole.sources, whole.reached) == ({"web": (13, {"not JSON": 3})}, {"web": 7})
