"""Every path of the document, with keys of every scope: what it says it needs, it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.wall_clock import wall_clock
from serving.openapi import document
from serving.scopes import Scope
from tests.serving.asking import Server, ask, new_key, project, pulled, server
from tests.serving.collected import SOURCES

IN_PATH = {
    "{parent_model}": "users",
    "{user_id}": "u1",
    "{collection}": "profiles",
    "{index}": "user_id",
    "{value}": "u1",
    "{sync}": "all",
}
BODIES: dict[str, Any] = {
    "/v1/audiences/{parent_model}": {"user_ids": ["u1"]},
    "/v1/collections/{collection}/records": {"values": ["u1"]},
    "/v1/tokens": {"parent_model": "users", "user_id": "u1"},
}
SECURED = [
    (method, path, frozenset(re.findall(r"[a-z]+:[a-z]+|admin", operation["description"])))
    for path, item in document()["paths"].items()
    for method, operation in item.items()
    if isinstance(operation, dict) and operation.get("security")
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    collections = {"profiles": {"parent_model": "users"}}
    root = tmp_path_factory.mktemp("here") / "project"
    loaded = project(root, sources=SOURCES, collections=collections)
    pulled(loaded, wall_clock())
    with server(loaded) as one:
        yield one


@pytest.fixture(scope="module")
def keys(here: Server) -> dict[str, str]:
    return {str(scope): new_key(here.loaded, scope) for scope in Scope}


def test_all_but_health_and_what_clients_send_needs_a_key() -> None:
    described = {
        path
        for path, item in document()["paths"].items()
        if path not in {one[1] for one in SECURED}
    }
    assert {path for path in described if path.startswith(("/v1/audiences", "/v1/sync"))} == set()
    assert len(SECURED) >= 12
    assert all(needed for _, _, needed in SECURED)


@pytest.mark.parametrize(("method", "path", "needed"), SECURED)
def test_a_path_needs_what_the_document_says(
    here: Server, keys: dict[str, str], method: str, path: str, needed: frozenset[str]
) -> None:
    url = re.sub(r"{\w+}", lambda found: IN_PATH[found[0]], path)
    more: dict[str, Any] = {"json": BODIES[path]} if path in BODIES else {}

    def status(key: str = "") -> int:
        with here.ask(url, key, method.upper(), stream=True, **more) as answer:
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
            return answer.status_code

    assert status() == 401
    for scope, key in keys.items():
        allowed = scope in {*needed, "admin"}
        found = status(key)
        assert (200 <= found < 300) if allowed else (found == 403), (scope, found)


def test_each_listener_has_its_own(here: Server, keys: dict[str, str]) -> None:
    assert here.ask("/metrics", keys["admin"]).status_code == 404
    for path in ("/v1/syncs", "/v1/audiences/users/u1", "/openapi.json", "/v1/batch", "/i"):
        answer = ask(f"{here.admin}{path}", keys["admin"])
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
