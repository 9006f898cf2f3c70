"""Tokens of one user, for browsers."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.wall_clock import wall_clock
from project.stores import open_store
from serving import admission
from serving import visitors as visitor_tokens
from serving.tokens import read_token
from serving.visitors import Visitor, Visitors
from tests.cli.jobs import eventually
from tests.serving.asking import Server, new_key, project, server
from tests.serving.recorded import Turn, record


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    loaded = project(tmp_path_factory.mktemp("here") / "project")
    record(loaded, Turn("u1", "keen"), Turn("u2", "keen"), Turn("u1", "quiet"))
    with server(loaded) as one:
        yield one


def token(here: Server, key: str, **more: object) -> str:
    body = {"parent_model": "users", "user_id": "u1", **more}
    answer = here.ask("/v1/tokens", key, "POST", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["expires_at"] > "2026"
    return str(answer.json()["token"])


def test_a_token_is_of_one_user(here: Server) -> None:
    given_token = token(here, new_key(here.loaded, "audiences:read"))
    path = "/v1/audiences/users/u1"
    expected = ["keen", "quiet"]
    assert here.ask(path, given_token).json()["audience_ids"] == expected
    assert here.ask(f"{path}?token={given_token}").json()["audience_ids"] == expected
    assert here.ask("/v1/audiences/users/u2", given_token).status_code == 403
    page = here.ask(f"/v1/transitions?token={given_token}").json()
    assert [one["audience"] for one in page["transitions"]] == expected
    assert here.ask("/v1/transitions?user_id=u2", given_token).status_code == 403
    assert here.ask("/v1/transitions?parent_model=others", given_token).status_code == 403
    for path in ("/v1/warehouse/users", "/v1/collections/x/records/y/z", "/v1/syncs"):
        assert here.ask(path, given_token).status_code == 401
    assert here.ask("/v1/audiences/users", given_token, "POST").status_code == 401
    assert here.ask("/v1/tokens", given_token, "POST").status_code == 401


def test_it_allows_what_its_key_allows(here: Server) -> None:
    key = new_key(here.loaded, "audiences:read", audiences=("quiet",))
    given_token = token(here, key)
    path = "/v1/audiences/users/u1"
    assert here.ask(path, given_token).json()["audience_ids"] == ["quiet"]
    assert here.ask("/v1/transitions?audience=keen", given_token).status_code == 403
    found = read_token(key)
    assert found is not None
    with closing(open_store(here.loaded)) as store:
        store.keys.revoke(found.id, wall_clock())
    eventually(lambda: here.ask(path, given_token).status_code == 401)


def test_it_expires(here: Server) -> None:
    given_token = token(here, new_key(here.loaded, "audiences:read"), expires_in=1)
    eventually(lambda: here.ask("/v1/audiences/users/u1", given_token).status_code == 401)


def test_who_asks_too_often_keeps_nobody_else_from_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_RATE_OF_VISITORS", 3)
    with server(project(tmp_path / "project")) as one:
        key = new_key(one.loaded, "audiences:read")
        tokens = [token(one, key), token(one, key)]
        quiet = token(one, key, user_id="u2")
        answers = [one.ask("/v1/audiences/users/u1", tokens[n % 2]) for n in range(30)]
        assert answers[0].headers["ratelimit"] == '"visitor";r=2;t=1'
        for n in range(2):  # all tokens of a user are one visitor's
            refused = next(each for each in answers[n::2] if each.status_code == 429)
            assert "this visitor may ask 3 times a second" in refused.json()["detail"]
        answer = one.ask("/v1/audiences/users/u2", quiet)
        assert answer.headers["ratelimit"] == '"visitor";r=2;t=1'
        assert '"key"' in one.ask("/v1/audiences/users/u1", key).headers["ratelimit"]


def test_what_is_no_token(here: Server) -> None:
    given_token = token(here, new_key(here.loaded, "audiences:read"))
    path = "/v1/audiences/users/u1"
    elsewhere = Visitors(here.loaded.root / "live")
    forged = elsewhere.token(Visitor("k", wall_clock() + 10**9, "users", "u1"))
    for one in (
        given_token[:-2],
        f"{given_token}AA",
        forged,
        "visitor_",
        "nonsense",
        "visitor_\xe4",
    ):
        assert here.ask(path, params={"token": one}).status_code == 401
    secret = here.loaded.root / ".usher" / "visitors.key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(list(secret.parent.glob("visitors.key*"))) == 1


def test_who_removes_the_secret_ends_all_tokens(here: Server) -> None:
    """At servers that run, which then sign with one that all of them have."""
    key = new_key(here.loaded, "audiences:read")
    secret, path = here.loaded.root / ".usher" / "visitors.key", "/v1/audiences/users/u1"
    before = token(here, key)
    assert here.ask(path, before).status_code == 200
    leaked = secret.read_bytes()
    secret.unlink()
    eventually(lambda: here.ask(path, before).status_code == 401)
    assert secret.read_bytes() != leaked
    after = token(here, key)
    assert here.ask(path, after).status_code == 200
    assert Visitors(here.loaded.root).read(after) is not None
    # It may be replaced, too, and whoever removes it is not to be let in by what is held.
    secret.write_bytes(b"x" * 32)
    eventually(lambda: here.ask(path, after).status_code == 401)
    secret.write_bytes(b"")
    eventually(lambda: here.ask(path, after).status_code == 503)
    secret.unlink()
    eventually(lambda: here.ask(path, after).status_code == 401)


def test_the_secret_is_not_looked_at_for_each_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitor_tokens, "_LOOK", 60.0)
    (tmp_path / ".usher").mkdir()
    visitors = Visitors(tmp_path)
    visitor = Visitor("k", 1, "users", "u1")
    shown = visitors.token(visitor)
    (tmp_path / ".usher" / "visitors.key").unlink()
    assert visitors.read(shown) == visitor


@pytest.mark.parametrize("found", [b"", b"guessed", b"x" * 31])
def test_a_secret_that_is_too_short_signs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], found: bytes
) -> None:
    loaded = project(tmp_path / "project")
    key = new_key(loaded, "audiences:read")
    (loaded.root / ".usher" / "visitors.key").write_bytes(found)
    body = {"parent_model": "users", "user_id": "u1"}
    with server(loaded) as one:
        assert one.ask("/v1/tokens", key, "POST", json=body).status_code == 503
        shown = {"token": "visitor_" + "A" * 80}
        assert one.ask("/v1/audiences/users/u1", params=shown).status_code == 503
    assert "it has fewer than 32 bytes; remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"parent_model": "nobody", "user_id": "u1"}),
        (400, {"parent_model": "users", "user_id": ""}),
        (400, {"parent_model": "users", "user_id": "x" * 1_025}),
        (400, {"parent_model": "users", "user_id": "u1", "expires_in": 0}),
        (400, {"parent_model": "users", "user_id": "u1", "expires_in": 86_401}),
        (400, {"parent_model": "users"}),
        (400, []),
    ],
)
def test_what_no_token_is_made_for(here: Server, status: int, body: object) -> None:
    key = new_key(here.loaded, "audiences:read")
    assert here.ask("/v1/tokens", key, "POST", json=body).status_code == status
    assert here.ask("/v1/tokens", new_key(here.loaded, "events:write"), "POST").status_code == 403


@given(st.binary(max_size=80))
def test_no_bytes_are_a_token(here: Server, data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).decode()
    assert here.service.admission.visitors.read(f"visitor_{text}") is None
