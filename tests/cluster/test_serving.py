"""The supervisor answers for all processes of a job."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli.jobs import eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.serving.asking import ANYWHERE, ask, metrics


def test_figures_of_several_processes(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", changed(serving=ANYWHERE))
    with running(project, "--workers", "2") as one:
        said = eventually(lambda: re.findall(r" at (http\S+)\n", one.errors()), one)
        url, figures = said
        eventually(lambda: ask(f"{url}/readyz").status_code == 200, one)
        lines = "".join(page("u2", number, now()) for number in range(3))
        (project / "live" / "1.jsonl").write_text(lines)
        eventually(lambda: metrics(figures)["usher_events_read_total"] == 3, one)
        assert 0 <= metrics(figures)["usher_clock_lag_seconds"] < 30
        assert one.stop() == 0
        assert "stopped; 3 events read" in one.errors()
