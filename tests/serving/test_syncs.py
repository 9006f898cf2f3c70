"""What `usher deliveries` prints, for machines."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from click.testing import CliRunner

from cli.main import usher
from connectors.wall_clock import wall_clock
from membership.deliveries import Attempt, Changes
from project.stores import open_store
from serving.scopes import Scope
from tests.serving.asking import new_key, project, server


def test_syncs_and_their_logs(tmp_path: Path) -> None:
    loaded = project(tmp_path / "project")
    with closing(open_store(loaded)) as store:
        ledger = store.ledger
        ledger.claim()
        ledger.open("all", lambda _end: None)
        tried = [
            Attempt(wall_clock() + n, 5, 1, "id", "retry", "no answer", 503, "POST", "…")
            for n in range(3)
        ]
        ledger.write([Changes("all", 0, attempts=tried)])
    keys = {scope: new_key(loaded, scope) for scope in Scope}
    printed = CliRunner().invoke(
        usher, ["-C", str(loaded.root), "deliveries", "all", "--log", "10", "--format", "json"]
    )
    standing, *attempts = [json.loads(line) for line in printed.output.splitlines()]
    with server(loaded) as one:
        key = keys[Scope.ADMIN]
        assert one.ask("/v1/syncs", key).json() == {"syncs": [standing]}
        log = one.ask("/v1/syncs/all/log", key).json()
        assert log == {"sync": "all", "attempts": attempts[::-1]}
        assert one.ask("/v1/syncs/nothing/log", key).status_code == 404
        for limit in ("0", "000000001" + "9" * 20):
            assert one.ask(f"/v1/syncs/all/log?limit={limit}", key).status_code == 400
        assert one.ask("/v1/syncs/all/log?before=x", key).status_code == 400
        for scope, other in keys.items():
            if scope is not Scope.ADMIN:
                assert one.ask("/v1/syncs", other).status_code == 403
                assert one.ask("/v1/syncs/all/log", other).status_code == 403
