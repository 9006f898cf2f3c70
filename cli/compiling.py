"""The very first start compiles the core, which takes a while; the user is told."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from connectors.sources.recorded import find_files
from dataflows.backtest import Recording, Request, run_backtest
from dataflows.log_lines import tell
from engine.compiled import CACHE_FOLDER, INTERPRETED, KERNELS
from engine.forecasts import forecast
from engine.group import KeyGroup
from engine.inputs import Snapshot
from project.folder import LoadedProject, load_project
from warehouse.pull import pull

# Exists once everything is compiled: a process that was stopped midway leaves some of it.
_DONE = CACHE_FOLDER / "complete"

# Seconds after which the kernels of other releases and installations are removed that nobody has
# started: some 40 MB each.
_KEPT_FOR = 30 * 86_400

# All that the core can do, in small: who listens, counts, enters and leaves.
_PROJECT = """
sources: {web: {type: file, path: events.jsonl}}
parent_models:
  users: {from: {csv: users.csv}, primary_key: id, properties: {vip: boolean}}
events:
  seen: {source: web, type: page, parent_model: users}
audiences:
  few: {parent_model: users, where: {performed: seen, at_most: 1, within: 1s}}
  many:
    parent_model: users
    where: {all: [{performed: seen, at_least: 2, within: 1s}, {property: vip, is: true}]}
"""
_USERS = "id,vip\nu,true\n"
_EVENTS = "".join(
    f'{{"type":"page","userId":"u","messageId":"{second}","timestamp":{second}}}\n'
    for second in (1, 1.5, 9)
)


def compile_core() -> None:
    """Compile before anything is waiting for it; say so, and how long it took."""
    if INTERPRETED:
        return
    if _DONE.exists():
        with suppress(OSError):
            _DONE.touch()
        return
    tell(f"compiling the core, once on this machine (kept in {CACHE_FOLDER}) …")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="usher-") as folder:
        root = Path(folder)
        (root / "project.yml").write_text(_PROJECT)
        (root / "users.csv").write_text(_USERS)
        (root / "events.jsonl").write_text(_EVENTS)
        loaded = load_project(root, {}).loaded
        assert loaded is not None
        files = find_files([root / "events.jsonl"])
        recordings = [Recording(file, None, "segment") for file in files]
        run_backtest(loaded, Request(recordings, output=root / "transitions.jsonl"))
        _switch(loaded)
    with suppress(OSError):  # where nothing can be kept, every start is the first
        _DONE.touch()
    remove_unused(CACHE_FOLDER, time.time() - _KEPT_FOR)
    tell(f"compiled in {time.monotonic() - started:.0f} s")


def remove_unused(used: Path, since: float) -> None:
    """Remove kernels beside the `used` ones that have not been since then (seconds since 1970)."""
    for folder in used.parent.glob(f"{KERNELS}*"):
        done = folder / _DONE.name
        with suppress(OSError):
            if folder != used and (done if done.exists() else folder).stat().st_mtime < since:
                shutil.rmtree(folder)


def _switch(loaded: LoadedProject) -> None:
    """From a warehouse that knows nobody to one that does; and what will become of somebody."""
    (plan,) = loaded.project.plans.values()
    nobody = Snapshot.empty(plan.plan.word_count)
    group = KeyGroup(plan.plan)
    group.take_force(nobody, 0)
    group.switch(pull(loaded.root, None, plan, 0).snapshot, 1, nobody)
    forecast(group, ["u"])
