"""The example shop in a real browser: its banner goes when the visitor orders, without a reload."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browsers.chromium import chromium
from tests.cli.jobs import PATIENCE, Job, ended, eventually, running

SHOP = Path(__file__).parents[2] / "examples" / "shop"


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        doors = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in doors]


class Shop(NamedTuple):
    """The address of its page, and the job behind it."""

    url: str
    root: Path
    job: Job


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    root = tmp_path / "shop"
    root.mkdir()
    for file in SHOP.glob("*.yml"):
        shutil.copy(file, root)
    data = [sys.executable, f"{SHOP}/generate.py", "--users", "600", "--output", f"{root}/data"]
    subprocess.run(data, check=True, capture_output=True)
    usher, site = choose_addresses(monkeypatch)
    monkeypatch.setenv("SHOP_EVENTS", "web")
    monkeypatch.setenv("SHOP_RECORDED", "data/none/*.jsonl")
    made = ended(root, "keys", "create", "--scope", "audiences:read")
    monkeypatch.setenv("USHER_KEY", made.stdout.strip())
    with running(root) as one, serving(root, f"http://127.0.0.1:{usher}", site) as url:
        yield Shop(url, root, one)


def choose_addresses(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """The ports of the job and of the page, which the shop's variables name."""
    usher, admin, site = free_ports(3)
    monkeypatch.setenv("SHOP_USHER", f"127.0.0.1:{usher}")
    monkeypatch.setenv("SHOP_ADMIN", f"127.0.0.1:{admin}")
    monkeypatch.setenv("SHOP_PORT", str(site))
    monkeypatch.setenv("SHOP_SITE", f"http://127.0.0.1:{site}")
    return usher, site


@contextmanager
def serving(root: Path, usher: str, port: int) -> Iterator[str]:
    command = [sys.executable, f"{SHOP}/site/serve.py", "--usher", usher, "--port", str(port)]
    command += ["--warehouse", f"{root}/data/warehouse.duckdb"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.communicate()


def found(page: Chrome, selector: str) -> WebElement:
    return eventually(lambda: page.find_elements(By.CSS_SELECTOR, selector))[0]


def test_the_banner_goes_when_the_visitor_orders(shop: Shop, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        look_three_times(page, shop.url)
        order(page)

        # Whoever comes again sees what holds now; a second browser is somebody else.
        page.get(f"{shop.url}/pricing")
        eventually(lambda: "no audience" in found(page, "#audiences").text)
        assert not found(page, "#banner").is_displayed()
        name = found(page, "#customer").text
        with chromium(tmp_path / "other") as other:
            other.get(shop.url)
            eventually(lambda: found(other, "#customer").text)
            assert found(other, "#customer").text != name
        assert [one for one in page.get_log("browser") if one["level"] == "SEVERE"] == []


def test_a_page_whose_token_has_ended_goes_on_with_another(shop: Shop, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as page:
        page.get(shop.url)
        page.execute_script("window.marker = 'the same page'")
        eventually(lambda: "no audience" in found(page, "#audiences").text)
        # Whoever removes the secret ends all tokens.
        (shop.root / ".usher" / "visitors.key").unlink()
        os.kill(shop.job.server, signal.SIGKILL)
        eventually((shop.root / ".usher" / "visitors.key").exists)
        pricing, furniture = found(page, "#to-pricing"), found(page, "nav a")
        for _ in range(3):
            furniture.click()
            pricing.click()
        eventually(found(page, "#banner").is_displayed)
        assert page.execute_script("return window.marker") == "the same page"


def test_a_session_is_one_that_the_shop_has_made(shop: Shop) -> None:
    def session(told: str) -> str:
        answer = requests.get(
            f"{shop.url}/session", headers={"Cookie": f"shop_session={told}"}, timeout=60
        )
        assert set(answer.cookies.keys()) == {"shop_session"}
        return str(answer.cookies["shop_session"])

    own = session("")
    assert session(own) == own
    for told in ("chosen", f"{own}x", '"a\\015\\012Set-Cookie: other=1"', "\xe4"):
        assert len(session(told)) == len(own)
        assert session(told) not in {own, told}


def look_three_times(page: Chrome, shop: str, pause: float = 0.0) -> None:
    """Until the banner is there; `pause` seconds pass before each look but the first."""
    page.get(shop)
    page.execute_script("window.marker = 'the same page'")
    banner = found(page, "#banner")
    eventually(lambda: "no audience" in found(page, "#audiences").text)
    assert not banner.is_displayed()
    for number in range(3):
        time.sleep(pause if number else 0)
        found(page, "nav a").click()
        found(page, "#to-pricing").click()
    eventually(banner.is_displayed)
    assert "high_intent_pricing" in found(page, "#audiences").text


def order(page: Chrome) -> None:
    """The banner goes, without a reload."""
    banner = found(page, "#banner")
    found(page, "nav a").click()
    found(page, ".card").click()
    found(page, "[data-add]").click()
    assert banner.is_displayed()
    found(page, "#order").click()
    eventually(lambda: not banner.is_displayed())
    said = found(page, "#told li[data-milliseconds]")
    assert "exited high_intent_pricing" in said.text
    print(f"\nthe banner was gone {said.get_attribute('data-milliseconds')} ms after the order")
    assert page.execute_script("return window.marker") == "the same page"


# Longer than any window that the demonstration has shortened.
UNHURRIED = 5.0


def test_the_demonstration_shows_a_banner_that_goes_by_the_order_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demonstration(tmp_path, monkeypatch) as shop, chromium(tmp_path / "profile") as page:
        look_three_times(page, shop, UNHURRIED)
        time.sleep(2 * UNHURRIED)
        order(page)


@contextmanager
def demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What `make demo` runs, in a copy of the examples; the address of the shop that it opens."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    left_out = shutil.ignore_patterns("data", "out", ".usher", "__pycache__")
    shutil.copytree(SHOP.parent, tmp_path / "examples", ignore=left_out)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    choose_addresses(monkeypatch)
    monkeypatch.setenv("KEEP", "1")
    printed = tmp_path / "printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            ["bash", tmp_path / "examples" / "demo.sh"],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
    try:
        yield eventually(lambda: opened(printed, process))
    finally:
        process.terminate()  # it ends what it has started
        process.wait(PATIENCE)


def opened(printed: Path, process: subprocess.Popen[bytes]) -> str:
    """The address of the shop as soon as it is said."""
    found = re.search(r"^The shop is at (\S+)\n", printed.read_text(), re.MULTILINE)
    assert process.poll() is None, printed.read_text()
    return found[1] if found else ""
