"""The shop in two acts: a recorded day replayed, then half a minute of live visitors.

    python demo.py --directory /tmp/shop

Everything is written below the directory: the project, its data, and what comes out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
USHER = Path(sys.executable).with_name("usher")

# What the live job is given before the visitors come, and after the last of them has left.
_START = 3.0
_END = 12.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--directory", type=Path, default=Path("shop"))
    arguments.add_argument("--users", type=int, default=20_000)
    arguments.add_argument("--seconds", type=float, default=30.0, help="of live visitors")
    options = arguments.parse_args()
    shop = options.directory.resolve()
    _write_project(shop)
    _say(f"A day of a shop with {options.users:,} customers, generated from a seed")
    _run("python", HERE / "generate.py", "--users", options.users, "--output", shop / "data")
    _say("The audiences over that day: usher backtest")
    _run("usher", "-C", shop, "backtest", "--clock", "arrival", "--output", shop / "day.jsonl")
    _say(f"The same audiences live, with windows of seconds, for {options.seconds:.0f} seconds")
    _watch(shop, options.seconds)


def _write_project(shop: Path) -> None:
    shop.mkdir(parents=True, exist_ok=True)
    for definitions in HERE.glob("*.yml"):
        shutil.copyfile(definitions, shop / definitions.name)


def _watch(shop: Path, seconds: float) -> None:
    """Run the job against visitors who come now; entries and exits appear as they happen."""
    live = shop / "data" / "live" / "live.jsonl"
    for left in (live, *shop.glob("out/*.jsonl")):
        left.unlink(missing_ok=True)
    shutil.rmtree(shop / ".usher", ignore_errors=True)
    live.parent.mkdir(exist_ok=True)
    live.touch()
    environment = os.environ | _live_environment()
    job = subprocess.Popen([USHER, "-C", shop, "run"], env=environment)  # noqa: S603  our own
    try:
        time.sleep(_START)
        _run("python", HERE / "simulate.py", "--seconds", seconds, "--output", live)
        time.sleep(_END)
    finally:
        job.send_signal(signal.SIGTERM)
        code = job.wait()
    if code:
        sys.exit(code)


def _live_environment() -> dict[str, str]:
    lines = (HERE / "live.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _run(program: str, *arguments: object) -> None:
    command = [str(USHER) if program == "usher" else sys.executable, *map(str, arguments)]
    code = subprocess.run(command, check=False).returncode  # noqa: S603  our own
    if code:
        sys.exit(code)


def _say(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


if __name__ == "__main__":
    main()
