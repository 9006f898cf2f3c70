"""The example shop: the same day from the same seed, and a project that works on it."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from audience_dsl.instants import SECOND
from project.folder import LoadedProject, load_project
from tests.serving.asking import project, server
from tests.serving.collected import kept
from warehouse.pull import pull

SHOP = Path(__file__).parents[2] / "examples" / "shop"
MIDNIGHT = 1_772_323_200_000_000  # 2026-03-01T00:00:00Z


def generate(output: Path, *arguments: str) -> Path:
    subprocess.run(
        [sys.executable, SHOP / "generate.py", "--users", "600", "--output", output, *arguments],
        check=True,
        capture_output=True,
    )
    return output


def lines(output: Path) -> list[bytes]:
    files = sorted((output / "events").glob("*.jsonl.gz"))
    return [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


def records(output: Path) -> list[dict[str, Any]]:
    found = []
    for line in lines(output):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "messageId" in record:
            found.append(record)
    return found


def customers(output: Path) -> list[Any]:
    with duckdb.connect(str(output / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute("SELECT CAST(users AS VARCHAR) FROM users").fetchall()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> LoadedProject:
    """The project of the example with a small day of its own."""
    root = tmp_path_factory.mktemp("shop")
    for file in SHOP.glob("*.yml"):
        (root / file.name).write_bytes(file.read_bytes())
    generate(root / "data")
    loading = load_project(root, {})
    assert loading.diagnostics == ()
    assert loading.loaded is not None
    return loading.loaded


def test_the_same_seed_gives_the_same_day(day: Path, tmp_path: Path) -> None:
    again = generate(tmp_path)
    for file in (day / "events").iterdir():
        assert file.read_bytes() == (again / "events" / file.name).read_bytes()
    assert customers(day) == customers(again)
    assert len(customers(day)) == 600


def test_another_seed_gives_another_day(day: Path, tmp_path: Path) -> None:
    assert lines(day) != lines(generate(tmp_path, "--seed", "2"))


def test_the_day_is_as_untidy_as_real_ones(day: Path) -> None:
    found = records(day)
    assert len(lines(day)) > len(found)
    assert max(Counter(one["messageId"] for one in found).values()) == 2
    assert any(one["userId"] is None for one in found)
    assert any(one["timestamp"] > one["receivedAt"] for one in found)
    late = [one for one in found if one["receivedAt"][:16] > one["timestamp"][:16]]
    assert 0 < len(late) < len(found) / 4
    assert {one["type"] for one in found} == {"page", "track"}
    received = [one["receivedAt"] for one in found]
    assert received == sorted(received)
    assert {moment[:10] for moment in received} == {"2026-03-01"}


def test_the_warehouse_answers_every_predicate_for_some(
    shop: LoadedProject, tmp_path: Path
) -> None:
    plan = shop.project.plans["users"]
    snapshot = pull(shop.root, shop.project.warehouse, plan, MIDNIGHT, store=tmp_path)
    assert snapshot.rows == 600
    words = snapshot.snapshot.patterns[snapshot.snapshot.pattern_of]
    for bit in range(len(plan.predicates)):
        holds = (words[:, bit // 64] >> np.int64(bit % 64)) & 1
        assert 0 < holds.sum() < 600, plan.predicates[bit]


def test_the_windows_shrink_for_the_live_demo(shop: LoadedProject) -> None:
    assignments = (SHOP / "live.env").read_text().splitlines()
    environment = dict(one.split("=", 1) for one in assignments if one and not one.startswith("#"))
    loading = load_project(shop.root, environment)
    assert loading.diagnostics == ()
    assert loading.loaded is not None
    conditions = loading.loaded.project.plans["users"].plan.conditions
    long = {one.window for one in conditions if one.window > 12 * SECOND}
    assert long == {600 * SECOND, 1_800 * SECOND}  # those of the audience with the banner


def test_without_what_npm_brings_the_page_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns("data", "out", ".usher", ".sdk")
    examples = shutil.copytree(SHOP.parent, tmp_path / "examples", ignore=left_out)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\nexit 7\n")
    npm.chmod(0o755)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", ". ../showing.sh; bring_client || exit 3"],
        cwd=examples / "shop",
        env=os.environ | {"PATH": f"{npm.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(
        "The shop's page needs Segment's client, which npm could not bring: "
    )
    assert done.stdout.count("\n") == 1


def test_simulated_visitors_are_sent_to_the_collector(tmp_path: Path) -> None:
    source: dict[str, Any] = {"type": "http", "format": "segment", "write_keys": ["shop"]}
    loaded = project(tmp_path / "project", sources={"web": source})
    with server(loaded) as here:
        simulate = [sys.executable, f"{SHOP}/simulate.py", "--seconds", "2", "--url", here.url]
        done = subprocess.run(simulate, check=True, capture_output=True, text=True)
    found = kept(loaded.root)
    assert found.reasons == []
    assert done.stdout == f"{len(set(found.ids))} events were sent\n"
    assert {one["type"] for one in found.events} == {"page", "track"}
    assert all(one["userId"] and one["context"]["userAgent"] for one in found.events)


def test_simulated_visitors_come_now(tmp_path: Path) -> None:
    output = tmp_path / "live" / "live.jsonl"
    subprocess.run(
        [sys.executable, SHOP / "simulate.py", "--seconds", "2", "--output", output],
        check=True,
        capture_output=True,
        env=os.environ | {"TZ": "America/New_York"},
    )
    sent = [json.loads(line) for line in output.read_bytes().splitlines()]
    assert sent
    assert all(one["userId"] and one["timestamp"] == one["receivedAt"] for one in sent)
    assert len({one["messageId"] for one in sent}) == len(sent)
