"""Recorded files of a project, and how far reading them has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from audience_dsl.definitions import Project, Settings
from connectors.collected.folder import log_folder
from connectors.collected.segments import SUFFIX
from connectors.sources.recorded import find_files, matching_files
from dataflows.backtest import Recording
from dataflows.preparation import STANDARD_INPUT


def recorded_sources(project: Project) -> list[Settings]:
    """The sources that are recorded in files, a collector's own among them."""
    return [
        source
        for source in project.sources.values()
        if source.type == "http"
        or (source.type == "file" and source.options["path"] != STANDARD_INPUT)
    ]


def sources_with_files(sources: Sequence[Settings], root: Path) -> list[Settings]:
    """Those of them that have recorded something."""
    return [one for one in sources if matching_files([_pattern(one, root)])]


def _pattern(source: Settings, root: Path) -> str:
    """The path or glob of a source's files."""
    if source.type == "http":
        return str(log_folder(root, source.key) / f"*{SUFFIX}")
    return str(root / str(source.options["path"]))


def recordings_of(sources: Sequence[Settings], root: Path, form: str | None) -> list[Recording]:
    """The files of some recorded sources, in the order of their names.

    Raises:
        SourceError: a source has no file.
    """
    patterns = {source.key: _pattern(source, root) for source in sources}
    owners = {
        file.path.absolute(): source
        for source in sources
        for file in find_files([patterns[source.key]])
    }
    return [
        Recording(file, owner.key, form or _text(owner.options.get("format")))
        for file in find_files(patterns.values())
        for owner in [owners[file.path.absolute()]]
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


@contextmanager
def reading_progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar, on a terminal only; to be told how many bytes more have been read."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _size: None
        return
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda size: bar.advance(task, size)
