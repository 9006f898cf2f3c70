"""Pulls that fail between those that succeed: everybody is judged by the last good one.

The rows of random histories are written to a file and pulled as a job does it, with something wrong
with them now and then.  What the engine is given is what the pointer names afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from engine.inputs import Snapshot
from project.folder import load_project
from tests import oracle
from tests.harness import SCHEMA, Rig, Way
from tests.properties.definitions import KINDS
from tests.properties.histories import BASE, SECOND, decode
from warehouse.errors import WarehouseError
from warehouse.history import Status, Trigger
from warehouse.refresh import Request, history_of, refresh
from warehouse.snapshot import WarehouseSnapshot, current

AUDIENCES = st.sampled_from(sorted(KINDS)).flatmap(KINDS.__getitem__)
WAY = Way(cut=0.3, restart=0.2, split=True, moves=True)

# A file of users in which no column is empty, or it would not tell its type.
_ANCHOR = {"user_id": "u0", "plan": "free", "ltv": 1, "vip": True}
_COLUMNS = tuple(_ANCHOR)
_Lines = list[str]

_DAMAGES: dict[str, Callable[[_Lines], _Lines | None]] = {
    "there is no column 'ltv'": lambda lines: [lines[0].replace("ltv", "lifetime"), *lines[1:]],
    "is not unique": lambda lines: [*lines, lines[-1]],
    "1 of . rows have no value in the primary key": lambda lines: [*lines, ",pro,1,true"],
    "reads as number": lambda lines: [lines[0], *(f"u{n},pro,much,true" for n in range(5))],
    "no such file": lambda lines: None,
    "fewer, and": lambda lines: lines[:2],
}


class PulledRig(Rig):
    """The engine, with snapshots that were pulled; `failed` is how many pulls have."""

    def __init__(self, audiences: Any, root: Path, random: Random) -> None:
        super().__init__(audiences)
        self.failed = 0
        self._root = root
        self._random = random
        self._at = BASE
        (root / "schema.yml").write_text(SCHEMA)
        (root / "audiences.yml").write_text(json.dumps({"audiences": audiences}))
        self._write(_lines({}))
        loaded = load_project(root, {}).loaded
        assert loaded is not None
        self._pulled = loaded.project.plans["users"]

    @override
    def snapshot(self, rows: oracle.Rows, at: int) -> Snapshot:
        while self._random.random() < 0.4:
            self._fail(_lines(rows))
        self._write(_lines(rows))
        version = self._refresh(Request(Trigger.ON_DEMAND, allow_shrink=True))
        found = self._in_force()
        assert found is not None
        assert found.version == version
        return found.serving(self._pulled.predicates).snapshot

    def _fail(self, lines: _Lines) -> None:
        before = self._in_force()
        known = list(_DAMAGES)
        if before is None or before.rows < 2:
            known.remove("fewer, and")
        message = self._random.choice(known)
        self._write(_DAMAGES[message](lines))
        with pytest.raises(WarehouseError, match=message):
            self._refresh(Request(self._random.choice([Trigger.ON_DEMAND, Trigger.SCHEDULED])))
        self.failed += 1
        after = self._in_force()
        assert (after and after.version) == (before and before.version)
        last = history_of(self._root, self._pulled.parent_model).pulls()[-1]
        assert last.status is Status.FAILED

    def _refresh(self, request: Request) -> str:
        self._at += SECOND
        return refresh(self._root, None, self._pulled, self._at, request).version

    def _in_force(self) -> WarehouseSnapshot | None:
        return current(self._root, "users")

    def _write(self, lines: _Lines | None) -> None:
        file = self._root / "users.csv"
        if lines is None:
            file.unlink(missing_ok=True)  # two pulls may find it gone
        else:
            file.write_text("\n".join(lines) + "\n")


def _lines(rows: oracle.Rows) -> _Lines:
    """A header, and a line for each user."""
    lines = [",".join(_COLUMNS)]
    for user, row in {"u0": _ANCHOR, **rows}.items():
        values = [row.get(name) for name in _COLUMNS[1:]]
        lines.append(",".join([user, *("" if one is None else str(one).lower() for one in values)]))
    return lines


@settings(max_examples=settings().max_examples // 20)
@given(AUDIENCES, st.binary(min_size=40, max_size=120), st.integers(0, 1 << 16))
def test_pulls_that_fail_change_nothing(audiences: Any, encoded: bytes, seed: int) -> None:
    history, until = decode(encoded, pulls=2)
    steps = [
        one._replace(rows={"u0": _ANCHOR, **one.rows}) if isinstance(one, oracle.Pull) else one
        for one in history
    ]
    with TemporaryDirectory() as folder:
        rig = PulledRig(audiences, Path(folder), Random(seed))
        assert rig.run(steps, until, WAY, Random(seed)) == rig.expected(steps, until)
