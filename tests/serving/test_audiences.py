"""Which audiences a user is in, as websites ask it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from connectors.wall_clock import wall_clock
from serving.scopes import Scope
from tests.serving.asking import Server, held_up, new_key, project, pulled, server
from tests.serving.recorded import Turn, record

ODD_IDS = ["a/b", "/", "a b", "ü✓", "50%", "a?b=c", "line\nbreak\n", "x" * 300, "nul\0", "..%2f"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """u1 is in both, u2 in one and was in the other; and there is an audience of the past."""
    loaded = project(tmp_path_factory.mktemp("here") / "project")
    pulled(loaded, wall_clock())
    record(
        loaded,
        Turn("u1", "quiet"),
        Turn("u1", "keen"),
        Turn("u2", "keen"),
        Turn("u2", "quiet"),
        Turn("u2", "quiet", 2),
        Turn("u1", "removed"),
        Turn("u1", "keen", parent_model="others"),
        *(Turn(user_id, "keen") for user_id in ODD_IDS),
        Turn("17", "keen"),
    )
    with server(loaded) as one:
        yield one


@pytest.fixture(scope="module")
def key(here: Server) -> str:
    return new_key(here.loaded, "audiences:read")


def audiences(here: Server, key: str, user_id: str) -> list[str]:
    answer = here.ask(f"/v1/audiences/users/{quote(user_id, safe='')}", key)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["parent_model_id"], found["user_id"]) == ("users", user_id)
    assert set(found) == {"parent_model_id", "user_id", "audience_ids"}
    return found["audience_ids"]


def test_the_audiences_of_a_user(here: Server, key: str) -> None:
    assert audiences(here, key, "u1") == ["keen", "quiet"]
    assert audiences(here, key, "u2") == ["keen"]
    assert audiences(here, key, "nobody") == []
    for user_id in ODD_IDS:
        assert audiences(here, key, user_id) == ["keen"], user_id
    assert here.ask("/v1/audiences/users/a/b", key).json()["audience_ids"] == ["keen"]


def test_many_at_once(here: Server, key: str) -> None:
    asked = ["u2", "nobody", "u1", "u2", *ODD_IDS]
    answer = here.ask("/v1/audiences/users", key, "POST", json={"user_ids": asked})
    found = answer.json()
    assert found["parent_model_id"] == "users"
    assert [one["user_id"] for one in found["users"]] == asked
    assert [one["audience_ids"] for one in found["users"]] == [
        ["keen"],
        [],
        ["keen", "quiet"],
        ["keen"],
        *(["keen"] for _ in ODD_IDS),
    ]
    answer = here.ask("/v1/audiences/users", key, "POST", json={"user_ids": [17, "17", 10**30]})
    assert [(one["user_id"], one["audience_ids"]) for one in answer.json()["users"]] == [
        ("17", ["keen"]),
        ("17", ["keen"]),
        (str(10**30), []),
    ]
    thousand = [f"u{number}" for number in range(1_000)]
    answer = here.ask("/v1/audiences/users", key, "POST", json={"user_ids": thousand})
    assert [one["user_id"] for one in answer.json()["users"]] == thousand
    answer = here.ask("/v1/audiences/users", key, "POST", json={"user_ids": []})
    assert answer.json()["users"] == []


def test_a_key_with_a_list_sees_only_those_audiences(here: Server) -> None:
    key = new_key(here.loaded, "audiences:read", audiences=("quiet", "removed"))
    assert audiences(here, key, "u1") == ["quiet"]
    assert audiences(here, key, "u2") == []
    body = {"user_ids": ["u1"], "include": ["details"]}
    (found,) = here.ask("/v1/audiences/users", key, "POST", json=body).json()["users"]
    assert [one["audience_id"] for one in found["audiences"]] == ["quiet"]
    freshness = here.ask("/v1/warehouse/users", key).json()
    assert [one["audience"] for one in freshness["audiences"]] == ["quiet"]


def test_a_batch_holds_up_nobody_else(here: Server, key: str) -> None:
    with held_up(here.service.memberships):
        began = time.monotonic()
        assert audiences(here, key, "u1") == ["keen", "quiet"]
        assert here.ask("/livez").status_code == 200
        assert time.monotonic() - began < 10


def test_details_of_many_may_be_asked_for_behind_the_path(here: Server, key: str) -> None:
    path, users = "/v1/audiences/users", {"user_ids": ["u1", "u2"]}
    behind = here.ask(f"{path}?include=details", key, "POST", json=users)
    assert behind.status_code == 200, behind.text
    within = here.ask(path, key, "POST", json={**users, "include": ["details"]})
    assert behind.json() == within.json()
    assert "audiences" in behind.json()["users"][0]


def test_details_where_nobody_evaluates(here: Server, key: str) -> None:
    found = here.ask("/v1/audiences/users/u1?include=details", key).json()
    assert found["audience_ids"] == ["keen", "quiet"]
    assert found["as_of"] is None
    assert int(found["cursor"]) == 8 + len(ODD_IDS)
    assert found["snapshot"]["rows"] == 2
    assert found["next_pull"] > found["snapshot"]["taken_at"]
    plan = here.loaded.project.plans["users"].plan
    assert found["audiences"] == [
        {
            "audience_id": one.key,
            "audience_version": one.version,
            "since": "1970-01-01T00:16:40.000000Z",
            "sequence": 1,
            "freshness": "current",
        }
        for one in sorted(plan.audiences, key=lambda one: one.key)
    ]
    nobody = here.ask("/v1/audiences/users/nobody?include=details", key).json()
    assert (nobody["audience_ids"], nobody["audiences"]) == ([], [])


@pytest.mark.parametrize(
    ("method", "path", "status", "more"),
    [
        ("GET", "/v1/audiences/nobody/u1", 404, {}),
        ("GET", "/v1/audiences/users/", 404, {}),
        ("GET", "/v1/audiences/users", 405, {}),
        ("DELETE", "/v1/audiences/users/u1", 405, {}),
        ("GET", "/v1/audiences/users/u1?include=reasons", 400, {}),
        ("GET", "/v1/audiences/users/u1?includ=details", 400, {}),
        ("POST", "/v1/audiences/nobody", 404, {"json": {"user_ids": ["u1"]}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": ["u1"] * 1_001}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": [1.5]}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": [True]}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": "u1"}}),
        ("POST", "/v1/audiences/users", 400, {"json": {}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": [], "more": 1}}),
        ("POST", "/v1/audiences/users", 400, {"json": {"user_ids": [], "include": ["x"]}}),
        ("POST", "/v1/audiences/users?include=x", 400, {"json": {"user_ids": []}}),
        ("POST", "/v1/audiences/users", 400, {"data": b'{"user_ids": ["\\ud800"]}'}),
        ("POST", "/v1/audiences/users", 400, {"data": b'{"user_ids": ["\xff"]}'}),
        ("POST", "/v1/audiences/users", 413, {"data": b" " * 1_100_000}),
        ("POST", "/v1/audiences/users", 413, {"data": b" " * 30_000_000}),
    ],
)
def test_what_cannot_be_answered(
    here: Server, key: str, method: str, path: str, status: int, more: dict[str, Any]
) -> None:
    answer = here.ask(path, key, method, **more)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert here.ask(path, method=method, **more).status_code in {401, 404, 405}


def test_the_scope(here: Server) -> None:
    keys = {scope: new_key(here.loaded, scope) for scope in Scope}
    allowed = {
        scope
        for scope, key in keys.items()
        if here.ask("/v1/audiences/users/u1", key).status_code == 200
    }
    assert allowed == {Scope.AUDIENCES_READ, Scope.ADMIN}
