"""Each golden/*.yml is full of mistakes; the text beside it is what the user reads.

After an intended change of a message: `USHER_WRITE_GOLDEN=1 pytest tests/dsl/test_golden.py`, and
read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.dsl.projects import compiled

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yml"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_the_messages_are_the_expected_ones(path: Path) -> None:
    diagnostics = compiled({path.name: path.read_text()}).diagnostics
    text = "\n".join(one.to_text() for one in diagnostics) + "\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("USHER_WRITE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_json_tells_the_same(path: Path) -> None:
    for one in compiled({path.name: path.read_text()}).diagnostics:
        read = json.loads(one.to_json())
        assert "\n" not in one.to_json()
        assert read["file"] == path.name
        assert (read["line"], read["column"]) == (one.line, one.column)
        assert read["end_column"] > read["column"]
        assert (read["severity"], read["kind"]) == (one.severity, one.kind)
        assert read["message"] in one.to_text()


def test_every_mistake_has_its_caret_below_the_culprit() -> None:
    text = "sources:\n  web: {type: file, path: '日本', pth: x}\n"
    (diagnostic,) = compiled({"a.yml": text}).diagnostics
    line, caret = diagnostic.to_text().splitlines()[1:3]
    # The two wide characters take four columns of the terminal.
    assert caret.index("^") == line.index("pth") + 2
    assert (diagnostic.column, diagnostic.end_column) == (33, 36)


def test_a_long_line_is_shown_around_the_culprit() -> None:
    text = f"sources: {{web: {{type: file, path: {'x' * 5000}, pth: y, more: {'z' * 5000}}}}}\n"
    diagnostic = compiled({"a.yml": text}).diagnostics[0]
    line, caret = diagnostic.to_text().splitlines()[1:3]
    assert len(line) < 200
    assert line[caret.index("^") : caret.rindex("^") + 1] == "pth"


def test_a_key_that_two_files_define_names_both_places() -> None:
    one = "sources: {web: {type: file, path: x}}\n"
    (diagnostic,) = compiled({"a.yml": one, "b/c.yml": "\n" + one}).diagnostics
    assert diagnostic.file == "b/c.yml"
    assert diagnostic.message == "'web' is already defined at a.yml:1"


def test_a_broken_file_causes_no_complaints_about_the_names_in_it() -> None:
    rest = "audiences: {a: {parent_model: users, where: {performed: x, within: 1h}}}"
    (diagnostic,) = compiled({"broken.yml": "parent_models: [", "rest.yml": rest}).diagnostics
    assert diagnostic.file == "broken.yml"


def test_a_terminal_is_safe_from_what_stands_in_a_file() -> None:
    diagnostics = compiled({"a.yml": 'x: \x1b[31m"\n', "b\x1b.yml": '"\\e[31m": 1'}).diagnostics
    for diagnostic in diagnostics:
        assert "\x1b" not in diagnostic.to_text()
