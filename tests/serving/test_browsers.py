"""What browsers tell by themselves: the address, and the cookie that Snowplow knows them by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, Server, loaded_from, project, server
from tests.serving.collected import SOURCES, kept

PAGE = {"Origin": "https://shop.example"}
TP2 = "/com.snowplowanalytics.snowplow/tp2"
YEAR = 365 * 86_400


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Server]:
    with server(project(tmp_path / "project", sources=SOURCES)) as one:
        yield one


def view(here: Server, headers: dict[str, str], **more: str) -> requests.Response:
    body = json.dumps({"data": [{"e": "pv", "aid": "shop", "uid": "u1", **more}]})
    answer = here.ask(TP2, method="POST", data=body, headers=headers)
    assert answer.status_code == 200
    return answer


def seen(here: Server) -> dict[str, Any]:
    """The last view."""
    return kept(here.loaded.root, "snowplow").events[-1]


def test_a_browser_is_known_again_by_its_cookie(here: Server) -> None:
    answer = view(here, PAGE)
    new = answer.cookies["sp"]
    said = answer.headers["set-cookie"]
    assert said == f"sp={new}; Max-Age={YEAR}; Path=/; HttpOnly; SameSite=Lax"
    assert (seen(here)["network_userid"], seen(here)["user_ipaddress"]) == (new, "127.0.0.1")

    again = view(here, {**PAGE, "Cookie": f"other=1; sp={new}; more=2"}, url="https://a/2")
    assert again.cookies["sp"] == new
    assert seen(here)["network_userid"] == new

    # What a tracker tells goes before what the browser does.
    view(here, {**PAGE, "Cookie": f"sp={new}"}, tnuid="n1", ip="192.0.2.1", url="https://a/3")
    assert (seen(here)["network_userid"], seen(here)["user_ipaddress"]) == ("n1", "192.0.2.1")


def test_a_pixel_of_a_page_has_it_too(here: Server) -> None:
    query = {"e": "pv", "aid": "shop", "uid": "u1"}
    headers = {"Referer": "https://shop.example/"}
    answer = here.ask("/i", params=query, headers=headers)
    assert seen(here)["network_userid"] == answer.cookies["sp"]


@pytest.mark.parametrize(
    "headers", [{}, {**PAGE, "SP-Anonymous": "*", "Cookie": "sp=x"}], ids=["server", "anonymous"]
)
def test_who_has_no_browser_or_stays_unknown_has_no_cookie(
    here: Server, headers: dict[str, str]
) -> None:
    assert "set-cookie" not in view(here, headers).headers
    assert "network_userid" not in seen(here)
    assert "user_ipaddress" not in seen(here)


@pytest.mark.parametrize("value", ["", "x", "a" * 5_000, "00000000-0000-0000-0000-00000000000G"])
def test_what_is_no_cookie_of_ours_is_replaced(here: Server, value: str) -> None:
    answer = view(here, {**PAGE, "Cookie": f"sp={value}"})
    assert answer.cookies["sp"] == seen(here)["network_userid"] != value


@pytest.mark.parametrize("name", ["segment", "rudder", "hightouch"])
def test_a_page_s_events_have_its_visitor_s_address(here: Server, name: str) -> None:
    source = {"segment": "web"}.get(name, name)
    key = SOURCES[source]["write_keys"][0]

    def address(headers: dict[str, str], number: str, **more: Any) -> object:
        event = {"type": "track", "event": "x", "userId": "u1", "messageId": number, **more}
        body = json.dumps({"batch": [event], "writeKey": key})
        assert here.ask("/v1/batch", method="POST", data=body, headers=headers).status_code == 200
        return kept(here.loaded.root, source).events[-1].get("context", {}).get("ip")

    assert address(PAGE, "1") == "127.0.0.1"
    assert address(PAGE, "2", context={"ip": "192.0.2.1"}) == "192.0.2.1"
    assert address(PAGE, "3", context={"locale": "de"}) == "127.0.0.1"
    assert address({}, "4") is None  # it would be the shop's server's
    told_by_anybody = {**PAGE, "X-Forwarded-For": "192.0.2.7"}
    assert address(told_by_anybody, "5") == "127.0.0.1"


def test_behind_a_proxy(tmp_path: Path) -> None:
    root = tmp_path / "project"
    serving = {**ANYWHERE, "behind_proxy": True}
    write_project(root, changed(sources=SOURCES, serving=serving))
    with server(loaded_from(root)) as here:
        answer = view(here, {**PAGE, "X-Forwarded-For": "203.0.113.9, 192.0.2.7"})
        assert answer.headers["set-cookie"].endswith("SameSite=None; Secure")
        assert seen(here)["user_ipaddress"] == "192.0.2.7"
        view(here, {**PAGE, "X-Forwarded-For": "nonsense"}, url="https://a/2")
        assert "user_ipaddress" not in seen(here)
