"""Which sites' pages may ask from a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, loaded_from, new_key, server

SHOP = "https://shop.example"
PATHS = ("/v1/audiences/users/u1", "/v1/transitions", "/v1/stream", "/v1/collections/c/records/i/v")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "project"


def test_those_that_are_named_and_no_others(root: Path) -> None:
    write_project(root, changed(serving={**ANYWHERE, "allow_origins": [SHOP, "http://[::1]:80"]}))
    loaded = loaded_from(root)
    key = new_key(loaded, "audiences:read")
    with server(loaded) as one:
        for path in PATHS:
            asked = one.ask(path, method="OPTIONS", headers={"Origin": SHOP})
            assert asked.status_code == 204
            assert asked.headers["access-control-allow-origin"] == SHOP
            assert "Authorization" in asked.headers["access-control-allow-headers"]
        for key_ in (key, ""):  # a page is also told what is wrong
            answer = one.ask(PATHS[0], key_, headers={"Origin": SHOP})
            assert answer.headers["access-control-allow-origin"] == SHOP
            assert answer.headers["vary"] == "Origin"
            assert "access-control-allow-credentials" not in answer.headers
        for origin in (
            "https://evil.example",
            "null",
            f"{SHOP}.evil.example",
            "http://shop.example",
        ):
            for method in ("GET", "OPTIONS"):
                answer = one.ask(PATHS[0], key, method, headers={"Origin": origin})
                assert "access-control-allow-origin" not in answer.headers
        # Freshness and pulls are for servers.
        assert one.ask("/v1/warehouse/users", method="OPTIONS").status_code == 405


def test_without_any_nothing_is_said(root: Path) -> None:
    write_project(root, changed(serving=ANYWHERE))
    loaded = loaded_from(root)
    with server(loaded) as one:
        assert one.ask(PATHS[0], method="OPTIONS", headers={"Origin": SHOP}).status_code == 405
        answer = one.ask(PATHS[0], headers={"Origin": SHOP})
        assert "access-control-allow-origin" not in answer.headers
