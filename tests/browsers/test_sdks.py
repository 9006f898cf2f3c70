"""Vendors' own clients in a real browser: every event that they send is counted once.

An answer is lost on the way, the job is killed and comes again, and pages are left at once.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome

from tests.browsers.chromium import chromium
from tests.browsers.site import bundled, site
from tests.cli.jobs import eventually, running
from tests.serving.collected import kept
from tests.serving.relay import relay_to
from tests.serving.test_collecting import members
from tests.serving.test_sdks import COUNT, written

# A client and the source that it sends to.
CLIENTS = {"segment": "web", "rudder": "rudder", "hightouch": "hightouch", "snowplow": "snowplow"}
PART = COUNT // 5

_START = """
const [url, key, user, done] = arguments;
window.start(url, key, user).then(() => done(""), (error) => done(String(error)));
"""
_SEND = "for (let number = arguments[0]; number < arguments[1]; number++) window.send(number);"


class Clients:
    """A tab for each client, of one browser."""

    def __init__(self, browser: Chrome, site: str, urls: dict[str, str], query: str = "") -> None:
        self._browser = browser
        self._site = site
        self._urls = urls
        self._query = query
        self._sent = 0
        self._tabs = dict.fromkeys(urls, "")
        for name in urls:
            browser.switch_to.new_window("tab")
            self._tabs[name] = browser.current_window_handle

    def open(self) -> None:
        for name, url in self._urls.items():
            self._turn_to(name)
            self._browser.get(f"{self._site}/{name}.html{self._query}")
            key = f"key-of-{CLIENTS[name]}"
            assert self._browser.execute_async_script(_START, url, key, name) == ""

    def send(self, count: int = PART, *, and_leave: bool = False) -> None:
        """So many events by each client."""
        parts = (self._sent, self._sent + count)
        leave = f"location.href = '{self._site}/away.html';" if and_leave else ""
        for name in self._urls:
            self._turn_to(name)
            self._browser.execute_script(_SEND + leave, *parts)
            if and_leave:
                eventually(lambda: self._browser.title == "away")
        self._sent += count

    def are_known(self) -> bool:
        """Whether the browser has got the cookie by which a visitor of Snowplow's is known."""
        cookies = self._browser.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]
        return any(cookie["name"] == "sp" for cookie in cookies)

    def _turn_to(self, name: str) -> None:
        self._browser.switch_to.window(self._tabs[name])


def orders(root: Path, name: str) -> list[dict[str, Any]]:
    """What is in the log, each as often as it came."""
    found = kept(root, CLIENTS[name])
    assert found.reasons == []
    kinds = ("track", "page_view")
    return [one for one in found.events if one.get("type", one.get("event")) in kinds]


def ids(root: Path, name: str) -> list[str]:
    return [str(one.get("messageId", one.get("event_id"))) for one in orders(root, name)]


def test_every_event_is_counted_once(tmp_path: Path) -> None:
    (pages := tmp_path / "pages").mkdir()
    bundled(tuple(CLIENTS), pages)
    root = written(tmp_path / "project", CLIENTS)
    listen = json.loads((root / "usher.yml").read_text())["serving"]["listen"]

    def have_come(parts: int) -> bool:
        return all(len(set(ids(root, one))) >= parts * PART for one in CLIENTS)

    with ExitStack() as held:
        relays = {one: held.enter_context(relay_to(f"http://{listen}", 0)) for one in CLIENTS}
        url = held.enter_context(site(pages))
        browser = held.enter_context(chromium(tmp_path / "profile"))
        clients = Clients(browser, url, {one: relay.url for one, relay in relays.items()})
        with running(root) as job:
            clients.open()
            clients.send()
            eventually(lambda: have_come(1), job)
            for relay in relays.values():
                relay.losing = 1
            clients.send()
            eventually(lambda: have_come(2), job)
            eventually(lambda: all(one.lost for one in relays.values()))
            job.process.kill()
            job.process.wait()
        clients.send()
        with running(root) as job:
            clients.send(and_leave=True)
            clients.open()
            clients.send()
            eventually(lambda: have_come(5), job)
            for one, source in CLIENTS.items():
                eventually(lambda: members(root, source) == {one}, job)  # noqa: B023
            assert job.stop() == 0
    for one in CLIENTS:
        found = ids(root, one)
        assert len(set(found)) == COUNT
        assert len(found) > COUNT, f"{one} has sent nothing again"
    # What the browser tells by itself.
    for one in ("segment", "rudder", "hightouch"):
        assert {str(event["context"]["ip"]) for event in orders(root, one)} == {"127.0.0.1"}
    views = orders(root, "snowplow")
    assert {view["user_ipaddress"] for view in views} == {"127.0.0.1"}
    assert len({view["network_userid"] for view in views}) == 1


def test_what_was_sent_last_is_counted_of_a_page_that_is_left(tmp_path: Path) -> None:
    (pages := tmp_path / "pages").mkdir()
    bundled(tuple(CLIENTS), pages)
    root = written(tmp_path / "project", CLIENTS)
    listen = json.loads((root / "usher.yml").read_text())["serving"]["listen"]
    urls = dict.fromkeys(CLIENTS, f"http://{listen}")
    with running(root) as job, site(pages) as url, chromium(tmp_path / "profile") as browser:
        clients = Clients(browser, url, urls, "?leaving")
        clients.open()
        clients.send(COUNT, and_leave=True)
        clients.open()  # what a page could not send any more, it sends when its visitor comes back
        for one, source in CLIENTS.items():
            eventually(lambda: members(root, source) == {one}, job)  # noqa: B023
        assert job.stop() == 0
    for one in CLIENTS:
        assert len(set(ids(root, one))) == COUNT
