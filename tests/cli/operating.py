"""Projects that deliver to hooks, and who operates them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.main import usher
from tests.cli.hooks import Hooks
from tests.cli.jobs import Job
from tests.cli.projects import changed

SECRET = "whsec_c2VjcmV0LW9mLXRoZS1ob29rLWZvci10ZXN0cy0x"
KEY = "key-in-the-url-0815"


def definition(server: Hooks, *syncs: str, within: str = "1h", **more: Any) -> dict[str, Any]:
    """Syncs of one audience, each to a hook of its name."""
    hook = {
        "type": "webhook",
        "secret": "${HOOK_SECRET}",
        "allow_http": True,
        "allow_private_hosts": ["127.0.0.1"],
    }
    return changed(
        destinations={
            key: {**hook, "url": f"{server.url(key)}/${{HOOK_KEY}}?k=${{HOOK_KEY}}"}
            for key in syncs
        },
        syncs={
            key: {"audience": "viewers", "destination": key, **more.get(key, {})} for key in syncs
        },
        audiences={
            "viewers": {
                "parent_model": "users",
                "where": {"performed": "page_viewed", "within": within},
            }
        },
    )


def write(root: Path, *lines: str) -> None:
    with (root / "live" / "web.jsonl").open("a") as file:
        file.writelines(lines)


class Operator:
    """Whoever types commands; all that was printed is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.printed = ""

    def run(self, *arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(usher, ["-C", str(self.root), *arguments])
        assert result.exit_code == code, result.output
        self.printed += result.output
        return result

    def facts(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        result = self.run(*arguments, "--format", "json", code=code)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def standing(self, sync: str) -> dict[str, Any]:
        return self.facts("deliveries", sync, "--log", "0")[0]

    def found_nothing_secret(self, *jobs: Job) -> None:
        """Neither in what was printed nor in what is stored."""
        told = self.printed.encode()
        for one in jobs:
            told += one.errors().encode() + "\n".join(one.lines()).encode()
        for file in (self.root / ".usher").glob("state.db*"):
            told += file.read_bytes()
        assert b"webhook-signature" in told, "requests are in the log"
        for secret in (SECRET, SECRET.removeprefix("whsec_"), KEY):
            assert secret.encode() not in told
