"""The audience on the first screen is one that `usher init` would accept."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from cli.init import TEMPLATE
from project.folder import load_project

README = Path(__file__).parents[2] / "README.md"


def test_the_first_audience_compiles_without_a_warning(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE, tmp_path, dirs_exist_ok=True)
    block = re.search(r"^```yaml\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None
    (tmp_path / "audiences.yml").write_text(block[1], "utf-8")
    loading = load_project(tmp_path)
    assert loading.diagnostics == ()
    assert loading.loaded is not None
    assert list(loading.loaded.project.audiences) == ["ready_to_buy"]
