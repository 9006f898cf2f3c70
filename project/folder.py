"""A project folder on disk: its files are read, compiled, and checked against the warehouse.

Only this module looks at the disk for definitions; the language itself is given texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from audience_dsl import (
    Compilation,
    Diagnostic,
    Kind,
    Severity,
    compile_project,
)
from audience_dsl.definitions import Project
from audience_dsl.documents import BYTES_MOST
from connectors.destinations.registry import OPTIONS
from project.columns import Remembered, WarehouseColumns
from project.variables import Surroundings

SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True)
class LoadedProject:
    """A project without mistakes and the folder that its relative paths start from."""

    root: Path
    project: Project


@dataclass(frozen=True, slots=True)
class Loading:
    """What came of a folder: `loaded` is `None` if any diagnostic is an error."""

    loaded: LoadedProject | None
    diagnostics: tuple[Diagnostic, ...]


def load_project(
    root: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    remembered: Remembered = Remembered.NEVER,
) -> Loading:
    """Read and compile the definitions below `root`, with the warehouse's own column types.

    Or with those that the snapshots in force have, where they are `remembered`.
    """
    files, unreadable = read_files(root)
    if not files and not unreadable:
        advice = "name a project folder with -C DIR, or make one with: usher init DIR"
        message = "there is no definition here: no *.yml or *.yaml file in this folder"
        unreadable.append(_finding(str(root), "no-files", message, advice))
    compilation = _compiled(root, files, Surroundings(root, environment), remembered)
    diagnostics = (*unreadable, *_beside(unreadable, compilation))
    project = compilation.project
    loaded = LoadedProject(root, project) if project and not unreadable else None
    return Loading(loaded, diagnostics)


def _compiled(
    root: Path, files: Mapping[str, str], environment: Mapping[str, str], remembered: Remembered
) -> Compilation:
    columns = WarehouseColumns(root)
    if remembered is Remembered.NEVER:
        return compile_project(files, environment, columns.asked, OPTIONS)
    if remembered is Remembered.FIRST:
        compilation = compile_project(files, environment, columns.unasked, OPTIONS)
        if compilation.project is not None:
            return compilation
    compilation = compile_project(files, environment, columns.reached, OPTIONS)
    if compilation.project is not None:
        return compilation
    widened = compile_project(files, environment, columns.widened, OPTIONS)
    return widened if widened.project is not None else compilation


def read_files(root: Path) -> tuple[dict[str, str], list[Diagnostic]]:
    """The texts of all definition files below the folder, by path relative to it, sorted.

    Folders and files whose name starts with a dot are not looked at.  What cannot be read is a
    diagnostic; of a file that is too large only the beginning is read, enough for being refused.
    """
    files: dict[str, str] = {}
    unreadable: list[Diagnostic] = []

    def failed(error: OSError) -> None:
        place = Path(error.filename or root)
        unreadable.append(_finding(_name(place, root), "unreadable", _reason(error)))

    for folder, folders, names in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix not in SUFFIXES or not path.is_file():
                continue
            try:
                with path.open("rb") as file:
                    content = file.read(BYTES_MOST + 1)
            except OSError as error:
                failed(error)
                continue
            try:
                files[_name(path, root)] = content.decode()
            except UnicodeDecodeError as error:
                if len(content) > BYTES_MOST and error.start > BYTES_MOST - 4:
                    files[_name(path, root)] = content.decode(errors="replace")
                    continue
                line = content.count(b"\n", 0, error.start) + 1
                column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
                message = f"the file is not UTF-8: byte 0x{content[error.start]:02x}"
                advice = "save it as UTF-8"
                place = _name(path, root)
                unreadable.append(_finding(place, "encoding", message, advice, line, column))
    return dict(sorted(files.items())), unreadable


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """0 without errors, 2 if the definitions have mistakes, 3 if only the environment has."""
    kinds = {one.kind for one in diagnostics if one.severity is Severity.ERROR}
    return 2 if Kind.DEFINITION in kinds else 3 if kinds else 0


def _beside(unreadable: list[Diagnostic], compilation: Compilation) -> tuple[Diagnostic, ...]:
    """What the compiler says, without the names that an unreadable file may define."""
    if not unreadable:
        return compilation.diagnostics
    return tuple(one for one in compilation.diagnostics if one.code != "unknown-name")


def _name(path: Path, root: Path) -> str:
    # A name that is not UTF-8 is shown with replacement characters.
    return os.fsencode(path.relative_to(root)).decode(errors="replace")


def _reason(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


def _finding(
    file: str, code: str, message: str, advice: str = "", line: int = 1, column: int = 1
) -> Diagnostic:
    return Diagnostic(file, line, column, column + 1, Severity.ERROR, code, message, advice)
