"""Vendors' own clients: every event that they send is counted once.

At first there is no server, and then an answer is lost.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import eventually, running
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE
from tests.serving.collected import kept
from tests.serving.relay import relay_to
from tests.serving.test_collecting import members

FOLDER = Path(__file__).parent / "sdks"
COUNT = 25

# A client and the source that it sends to, by its write key or app id.
PYTHON = {
    "segment_python": "web",
    "rudder_python": "rudder",
    "hightouch_python": "hightouch",
    "snowplow_python": "snowplow",
}
NODE = {"segment_node": "web", "rudder_node": "rudder", "snowplow_node": "snowplow"}
TYPES = {
    "web": "Order Completed",
    "rudder": "Order Completed",
    "hightouch": "Order Completed",
    "snowplow": "page_view",
}
FORMATS = {
    "web": "segment",
    "rudder": "rudderstack",
    "hightouch": "hightouch",
    "snowplow": "snowplow",
}


def written(root: Path, clients: dict[str, str]) -> Path:
    """A project whose audiences are those of whom a source has brought the right number."""
    sources = {
        key: {
            "type": "http",
            "format": form,
            "app_ids" if form == "snowplow" else "write_keys": [f"key-of-{key}"],
        }
        for key, form in FORMATS.items()
    }
    events = {
        f"seen_by_{key}": {"source": key, "type": type, "parent_model": "users"}
        for key, type in TYPES.items()
    }
    audiences = {
        key: {
            "parent_model": "users",
            "where": {"performed": f"seen_by_{key}", "exactly": COUNT, "within": "1h"},
        }
        for key in sources
    }
    with socket.create_server(("127.0.0.1", 0)) as door:
        listen = f"127.0.0.1:{door.getsockname()[1]}"
    users = "user_id,ltv\n" + "".join(f"{one},1\n" for one in clients)
    sections: dict[str, Any] = {"sources": sources, "events": events, "audiences": audiences}
    definition = changed(**sections, serving={**ANYWHERE, "listen": listen}, syncs=None)
    return write_project(root, definition, users)


def everything_is_counted_once(
    root: Path, clients: dict[str, str], commands: Mapping[str, Sequence[str]]
) -> None:
    wanted = {key: {one for one in clients if clients[one] == key} for key in TYPES}
    serving = json.loads((root / "usher.yml").read_text())["serving"]
    url = f"http://{serving['listen']}"
    with ExitStack() as held:
        relays = {one: held.enter_context(relay_to(url, losing=1)) for one in clients}
        processes = {
            one: subprocess.Popen(
                [*commands[one], relays[one].url, f"key-of-{source}", one, str(COUNT)],
                stderr=subprocess.PIPE,
                text=True,
            )
            for one, source in clients.items()
        }
        for process in processes.values():
            held.callback(process.kill)
        eventually(lambda: all(one.in_vain for one in relays.values()))
        job = held.enter_context(running(root))
        for one, process in processes.items():
            _, errors = process.communicate(timeout=100)
            assert process.returncode == 0, (one, errors)
            assert relays[one].lost == 1
        eventually(lambda: all(members(root, key) == wanted[key] for key in TYPES), job)
        assert job.stop() == 0
    for key, users in wanted.items():
        found = kept(root, key)
        assert len(set(found.ids)) == len(users) * COUNT
        assert found.reasons == []


def test_clients_in_python(tmp_path: Path) -> None:
    root = written(tmp_path / "project", PYTHON)
    commands = {one: [sys.executable, str(FOLDER / f"{one}.py")] for one in PYTHON}
    everything_is_counted_once(root, PYTHON, commands)


@pytest.fixture(scope="module")
def node_modules() -> None:
    """Installed as their lock file says, once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    lock = FOLDER / "package-lock.json"
    installed = FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=300)


@pytest.mark.usefixtures("node_modules")
def test_clients_in_node(tmp_path: Path) -> None:
    root = written(tmp_path / "project", NODE)
    commands = {one: ["node", str(FOLDER / f"{one}.js")] for one in NODE}
    everything_is_counted_once(root, NODE, commands)
