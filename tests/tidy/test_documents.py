"""What the documents say about commands and places is so."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cli.main import usher

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
CONTEXT = click.Context(usher, info_name="usher", **usher.context_settings)
VERBS = usher.list_commands(CONTEXT)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", text_of(ROOT / "Makefile"), re.MULTILINE))


def anchors(path: Path) -> set[str]:
    """The names that a Markdown page's headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text_of(path)), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_make_commands_exist(document: Path) -> None:
    mentioned = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", text_of(document)))
    assert mentioned <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_usher_commands_exist(document: Path) -> None:
    mentioned = set(re.findall(r"(?:`|\$ )usher (?:-C \S+ )?([a-z][a-z-]*)", text_of(document)))
    assert mentioned <= set(VERBS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target in LINK.findall(FENCED.sub("", text_of(document))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (document.parent / place).resolve() if place else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_every_command_is_in_the_readme_or_a_page() -> None:
    everything = "".join(map(text_of, DOCUMENTS))
    assert [verb for verb in VERBS if f"usher {verb}" not in everything] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself_with_an_example(verb: str) -> None:
    command = usher.get_command(CONTEXT, verb)
    assert command is not None
    assert command.help
    assert "Example" in command.get_help(click.Context(command, parent=CONTEXT, info_name=verb))


def test_the_list_of_decisions_is_complete() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\((\d{4}-[^)]+\.md)\)", text_of(folder / "README.md")))
    assert listed == {path.name for path in folder.glob("[0-9]*.md")}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_of_the_repository_that_are_named_exist(document: Path) -> None:
    named_files = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.(?:py|md))?)`", text_of(document))
    ours = [name for name in named_files if (ROOT / name.split("/")[0]).is_dir()]
    assert [name for name in ours if not (ROOT / name).exists()] == []
