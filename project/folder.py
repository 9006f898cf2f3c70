"""A project folder on disk: its files are read, compiled, and checked against the warehouse.

Only this module looks at the disk for definitions; the language itself is given texts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from audience_dsl import (
    Compilation,
    Diagnostic,
    Kind,
    Severity,
    Unreachable,
    compile_project,
)
from audience_dsl.definitions import ColumnType, ParentModel, Project, Settings
from audience_dsl.documents import BYTES_MOST
from audience_dsl.models import Columns, Model
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError
from warehouse.snapshot import current, source_digest

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
    root: Path, environment: Mapping[str, str] = os.environ, *, remembered: bool = False
) -> Loading:
    """Read and compile the definitions below `root`, with the warehouse's own column types.

    With `remembered`, models that cannot be reached have the columns of the snapshot in force, so
    that a job starts while the warehouse is down.  So have models that lack a column which the
    definitions need: what a warehouse has lost is told by the next pull, and stops no job.
    """
    files, unreadable = read_files(root)
    if not files and not unreadable:
        advice = "name a project folder with -C DIR, or make one with: usher init DIR"
        message = "there is no definition here: no *.yml or *.yaml file in this folder"
        unreadable.append(_finding(str(root), "no-files", message, advice))
    columns = warehouse_columns(root)
    if remembered:
        memory = _Memory(root, columns)
        compilation = compile_project(files, environment, memory.where_unreachable)
        if compilation.project is None:
            widened = compile_project(files, environment, memory.where_missing)
            compilation = widened if widened.project else compilation
    else:
        compilation = compile_project(files, environment, columns)
    diagnostics = (*unreadable, *_beside(unreadable, compilation))
    project = compilation.project
    loaded = LoadedProject(root, project) if project and not unreadable else None
    return Loading(loaded, diagnostics)


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


def warehouse_columns(root: Path) -> Columns:
    """Asks the warehouse for the columns of a model; relative paths start from `root`."""

    def columns(warehouse: Settings | None, model: Model) -> Mapping[str, ColumnType] | Unreachable:
        try:
            return read_columns(root, warehouse, model)
        except WarehouseError as error:
            return Unreachable(str(error))

    return columns


class _Memory:
    """What the warehouse tells of a model's columns, and what the snapshot in force remembers."""

    def __init__(self, root: Path, ask: Columns) -> None:
        self._root = root
        self._ask = ask
        self._answers: dict[str, Mapping[str, ColumnType] | Unreachable | None] = {}
        self._known: dict[str, Mapping[str, ColumnType]] = {}  # by `source_digest`

    def where_unreachable(
        self, warehouse: Settings | None, model: Model
    ) -> Mapping[str, ColumnType] | Unreachable | None:
        """The warehouse's columns, or those remembered if it cannot be asked."""
        answer = self._answer(warehouse, model)
        # Declared columns may be newer than what is remembered.
        if model.properties or not isinstance(answer, Unreachable):
            return answer
        return self._remembered(model) or answer

    def where_missing(
        self, warehouse: Settings | None, model: Model
    ) -> Mapping[str, ColumnType] | Unreachable | None:
        """The same, and the columns that the warehouse had when it was read."""
        answer = self.where_unreachable(warehouse, model)
        if answer is None or isinstance(answer, Unreachable):
            return answer
        return {**self._remembered(model), **answer}

    def _answer(
        self, warehouse: Settings | None, model: Model
    ) -> Mapping[str, ColumnType] | Unreachable | None:
        key = f"{type(model).__name__} {model.key}"
        if key not in self._answers:
            self._answers[key] = self._ask(warehouse, model)
        return self._answers[key]

    def _remembered(self, model: Model) -> Mapping[str, ColumnType]:
        parent = model.key if isinstance(model, ParentModel) else model.parent_model
        with suppress(WarehouseError):
            snapshot = current(self._root, parent)
            if snapshot is not None:
                manifest = snapshot.manifest
                self._known[manifest.source] = manifest.columns
                self._known.update(manifest.related)
        return self._known.get(source_digest(model), {})


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
