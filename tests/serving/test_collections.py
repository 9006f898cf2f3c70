"""Records of the snapshot, as websites ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from connectors.wall_clock import wall_clock
from serving.scopes import Scope
from tests.cli.projects import DEFINITION, changed, write_project
from tests.serving.asking import ANYWHERE, Server, loaded_from, new_key, pulled, server
from tests.serving.recorded import Turn, record

USERS = """user_id,ltv,email,shop
u1,20,ada@example.com,7
u2,5,bob@example.com,7
a/b,1,odd@example.com,8
"""
MODEL = {
    **DEFINITION["parent_models"]["users"],
    "properties": {"ltv": "number", "email": "string", "shop": "number"},
}
SECTIONS: dict[str, Any] = {
    "serving": ANYWHERE,
    "parent_models": {"users": MODEL},
    "collections": {
        "profiles": {"parent_model": "users", "indexes": ["email", "shop"]},
        "emails": {"parent_model": "users", "indexes": ["email"], "fields": ["email", "ltv"]},
    },
}
ADA = {"user_id": "u1", "ltv": 20, "email": "ada@example.com", "shop": 7}
BOB = {"user_id": "u2", "ltv": 5, "email": "bob@example.com", "shop": 7}
PROFILES = "/v1/collections/profiles/records"


def write(root: Path, **sections: Any) -> Path:
    return write_project(root, changed(**{**SECTIONS, **sections}), USERS)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    loaded = loaded_from(write(tmp_path_factory.mktemp("here") / "project"))
    pulled(loaded, wall_clock())
    record(loaded, Turn("u1", "keen"), Turn("u1", "quiet"), Turn("u2", "quiet"))
    with server(loaded) as one:
        yield one


@pytest.fixture(scope="module")
def key(here: Server) -> str:
    return new_key(here.loaded, "collections:read", "audiences:read")


def record_at(here: Server, key: str, path: str) -> dict[str, Any]:
    answer = here.ask(f"{PROFILES}/{path}", key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


def test_a_record_by_its_key_and_by_an_index(here: Server, key: str) -> None:
    assert record_at(here, key, "user_id/u1") == ADA
    assert record_at(here, key, "email/bob@example.com") == BOB
    assert record_at(here, key, "email/bob%40example.com") == BOB
    assert record_at(here, key, "shop/7") == ADA  # the first of two
    assert record_at(here, key, "user_id/a/b") == record_at(here, key, "user_id/a%2Fb")


def test_some_fields_and_the_audiences(here: Server, key: str) -> None:
    assert record_at(here, key, "user_id/u1?fields=ltv") == {"ltv": 20}
    assert list(record_at(here, key, "user_id/u1?fields=shop,ltv")) == ["shop", "ltv"]
    expected = {**ADA, "audience_ids": ["keen", "quiet"]}
    assert record_at(here, key, "user_id/u1?include=audiences") == expected
    found = record_at(here, key, "email/bob@example.com?fields=ltv&include=audiences")
    assert found == {"ltv": 5, "audience_ids": ["quiet"]}
    few = new_key(here.loaded, "collections:read", "audiences:read", audiences=("keen",))
    assert record_at(here, few, "user_id/u1?include=audiences")["audience_ids"] == ["keen"]


def test_many_at_once(here: Server, key: str) -> None:
    def results(**body: Any) -> list[dict[str, Any]]:
        answer = here.ask(PROFILES, key, "POST", json=body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert (found["collection"], found["index"]) == ("profiles", body.get("index", "user_id"))
        return list(found["results"])

    assert results(values=["u2", "nobody", "u1"]) == [
        {"value": "u2", "records": [BOB]},
        {"value": "nobody", "records": []},
        {"value": "u1", "records": [ADA]},
    ]
    assert results(index="shop", values=[7, "7"], fields=["ltv"]) == [
        {"value": 7, "records": [{"ltv": 20}, {"ltv": 5}]},
        {"value": "7", "records": [{"ltv": 20}, {"ltv": 5}]},
    ]
    (found,) = results(index="shop", values=[7], include=["audiences"], fields=["user_id"])
    assert found["records"] == [
        {"user_id": "u1", "audience_ids": ["keen", "quiet"]},
        {"user_id": "u2", "audience_ids": ["quiet"]},
    ]


def test_what_is_wanted_may_be_behind_the_path(here: Server, key: str) -> None:
    def records(query: str, **body: Any) -> list[dict[str, Any]]:
        answer = here.ask(f"{PROFILES}{query}", key, "POST", json={"values": ["u1"], **body})
        assert answer.status_code == 200, answer.text
        return list(answer.json()["results"][0]["records"])

    audiences = {"audience_ids": ["keen", "quiet"]}
    assert records("?include=audiences") == [{**ADA, **audiences}]
    assert records("?fields=ltv,shop") == [{"ltv": 20, "shop": 7}]
    assert records("?fields=ltv", fields=["shop"]) == [{"ltv": 20, "shop": 7}]
    assert records("?include=audiences", fields=["ltv"], include=["audiences"]) == [
        {"ltv": 20, **audiences}
    ]


def test_an_answer_has_no_more_records_than_there_is_room_for(tmp_path: Path) -> None:
    """5,000 users of one shop, 5,001 of another."""
    users = "\n".join(f"u{number},1,{number}@x,{number // 5_000}" for number in range(10_001))
    sections = {**SECTIONS, "serving": {**ANYWHERE, "limits": {"per_key": 150}}}
    header = USERS.partition("\n")[0]
    loaded = loaded_from(
        write_project(tmp_path / "project", changed(**sections), f"{header}\n{users}")
    )
    pulled(loaded, wall_clock())
    with server(loaded) as one:

        def asked(*values: int, **body: Any) -> requests.Response:
            key = new_key(loaded, "collections:read", "audiences:read")
            return one.ask(PROFILES, key, "POST", json={"index": "shop", "values": values, **body})

        def left(answer: requests.Response) -> int:
            return int(answer.headers["ratelimit"].split("r=")[1].split(";")[0])

        both = asked(0, 1, fields=["shop"], include=["audiences"])
        assert [len(each["records"]) for each in both.json()["results"]] == [5_000, 5_000]
        assert both.json()["results"][1]["records"][0] == {"shop": 1, "audience_ids": []}
        # It counts as 200 requests more.
        assert left(both) < 100
        for values in ((0, 1, 2), (0,) * 3):
            answer = asked(*values)
            assert answer.status_code == 413
            assert "more than 10,000 records" in answer.json()["detail"]
            assert left(answer) < 100
        first = one.ask(f"{PROFILES}/shop/0", new_key(loaded, "collections:read"))
        assert (first.json()["user_id"], len(first.content) < 100) == ("u0", True)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", f"{PROFILES}/user_id/nobody", 404, None),
        ("GET", f"{PROFILES}/ltv/20", 404, None),
        ("GET", "/v1/collections/nothing/records/user_id/u1", 404, None),
        ("GET", f"{PROFILES}/user_id", 404, None),
        ("GET", f"{PROFILES}/user_id/u1?fields=nothing", 400, None),
        ("GET", f"{PROFILES}/user_id/u1?fields=", 400, None),
        ("GET", f"{PROFILES}/user_id/nobody?fields=ltv,nothing", 400, None),
        ("GET", "/v1/collections/emails/records/user_id/nobody?fields=shop", 400, None),
        ("GET", f"{PROFILES}/user_id/u1?include=details", 400, None),
        ("GET", "/v1/collections/emails/records/user_id/u1?include=audiences", 400, None),
        ("POST", "/v1/collections/nothing/records", 404, {"values": ["u1"]}),
        ("POST", PROFILES, 404, {"values": ["u1"], "index": "ltv"}),
        ("POST", PROFILES, 400, {"values": ["u1"] * 1_001}),
        ("POST", PROFILES, 400, {"values": [1.5]}),
        ("POST", PROFILES, 400, {"values": [True]}),
        ("POST", PROFILES, 400, {"values": ["u1"], "fields": ["nothing"]}),
        ("POST", PROFILES, 400, {"values": ["nobody"], "fields": ["ltv", "nothing"]}),
        ("POST", PROFILES, 400, {"values": [], "fields": ["nothing"]}),
        ("POST", f"{PROFILES}?fields=nothing", 400, {"values": ["nobody"]}),
        ("POST", PROFILES, 400, {"values": ["u1"], "include": ["nothing"]}),
        ("POST", f"{PROFILES}?include=nothing", 400, {"values": ["u1"]}),
        ("POST", f"{PROFILES}?fields=nothing", 400, {"values": ["u1"]}),
        ("POST", PROFILES, 400, []),
    ],
)
def test_what_cannot_be_answered(
    here: Server, key: str, method: str, path: str, status: int, body: object
) -> None:
    answer = here.ask(path, key, method, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_scopes(here: Server) -> None:
    path = f"{PROFILES}/user_id/u1"
    for scope in Scope:
        allowed = scope in {Scope.COLLECTIONS_READ, Scope.ADMIN}
        one = new_key(here.loaded, scope)
        assert here.ask(path, one).status_code == (200 if allowed else 403)
        allowed = scope is Scope.ADMIN
        assert here.ask(f"{path}?include=audiences", one).status_code == (200 if allowed else 403)


def test_pulls_and_definitions_are_followed(tmp_path: Path) -> None:
    root = write(tmp_path / "project", collections=None)
    loaded = loaded_from(root)
    key = new_key(loaded, "collections:read")
    path = f"{PROFILES}/user_id/u1"
    with server(loaded) as one:
        assert one.ask(path, key).status_code == 404
        write(root)
        one.service.follow(loaded_from(root))
        answer = one.ask(path, key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert str(tmp_path) not in answer.text
        pulled(loaded_from(root), wall_clock())
        assert one.ask(path, key).json() == ADA
        (root / "users.csv").write_text(USERS.replace("u1,20", "u1,30"))
        pulled(loaded_from(root), wall_clock())
        assert one.ask(path, key).json() == {**ADA, "ltv": 30}


def test_fields_of_which_the_definitions_do_not_tell(tmp_path: Path) -> None:
    """They are those of the snapshot."""
    loaded = loaded_from(write(tmp_path / "project"))
    project = loaded.project
    every = {key: replace(one, fields=None) for key, one in project.collections.items()}
    plan = project.plans["users"]
    plan = replace(plan, collections=tuple(every.values()))
    loaded = replace(loaded, project=replace(project, collections=every, plans={"users": plan}))
    key = new_key(loaded, "collections:read")
    with server(loaded) as one:
        path = f"{PROFILES}/user_id/nobody?fields"
        assert one.ask(f"{path}=ltv", key).status_code == 503
        pulled(loaded, wall_clock())
        assert one.ask(f"{PROFILES}/user_id/u1?fields=ltv", key).json() == {"ltv": 20}
        assert one.ask(f"{path}=ltv", key).status_code == 404
        assert one.ask(f"{path}=nothing", key).status_code == 400
