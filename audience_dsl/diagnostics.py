"""Mistakes and doubts in definitions: where, what, and how to mend it.

A mistake never stops the reading of the rest: it is reported to `Diagnostics`, and whatever depends
on the broken part is passed over in silence, so that one mistake makes one diagnostic.  A hostile
file may make any number of them; beyond a thousand the rest is only counted.

Messages quote what stands in the file, never the value of an environment variable.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

_MOST = 1_000
_LINE_SHOWN = 120


@dataclass(slots=True, unsafe_hash=True)
class Span:
    """A place in a file: lines and columns count characters from 1, `end_column` is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Kind(StrEnum):
    """Whose business it is: of who writes the definitions, or of who runs them."""

    DEFINITION = "definition"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.  `code` is stable and lower-case; `source` is the line of the file."""

    file: str
    line: int
    column: int
    end_column: int
    severity: Severity
    code: str
    message: str
    help: str = ""
    kind: Kind = Kind.DEFINITION
    source: str = ""

    def to_text(self) -> str:
        """The block that people read: place and sentence, the line with a caret, the help."""
        warning = "warning: " if self.severity is Severity.WARNING else ""
        blocks = [f"{printable(self.file)}:{self.line}:{self.column}: {warning}{self.message}"]
        if self.source.strip():
            line, caret = _underlined(self.source, self.column, self.end_column)
            number = str(self.line)
            blocks += [f"  {number} | {line}", f"  {' ' * len(number)} | {caret}"]
        blocks += [f"  {line}" for line in self.help.splitlines()]
        return "\n".join(blocks)

    def to_sentence(self) -> str:
        """The same on one line, for a log."""
        place = f"{printable(self.file)}:{self.line}:{self.column}"
        return "; ".join([f"{place}: {self.message}", *self.help.splitlines()])

    def to_json(self) -> str:
        """The same as one JSON object on one line."""
        return json.dumps(
            {
                "file": printable(self.file),
                "line": self.line,
                "column": self.column,
                "end_column": self.end_column,
                "severity": self.severity,
                "code": self.code,
                "message": self.message,
                "help": self.help,
                "kind": self.kind,
            },
            ensure_ascii=False,
        )


class Diagnostics:
    """Collects what is found in the files of one project."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._found: dict[Diagnostic, None] = {}
        self._lines: dict[str, list[str]] = {}
        self._concealed: list[Span] = []
        self.errors = 0
        self.suppressed = 0

    @property
    def full(self) -> bool:
        """Whether further findings are only counted, so that they need no good message."""
        return len(self._found) >= _MOST

    def error(
        self, span: Span, code: str, message: str, advice: str = "", kind: Kind = Kind.DEFINITION
    ) -> None:
        self.errors += 1
        self._add(span, Severity.ERROR, code, message, advice, kind)

    def warning(self, span: Span, code: str, message: str, advice: str = "") -> None:
        self._add(span, Severity.WARNING, code, message, advice, Kind.DEFINITION)

    def conceal(self, span: Span) -> None:
        """Show stars in the place of a value that nobody should read, whatever is found there."""
        self._concealed.append(span)

    def in_order(self) -> list[Diagnostic]:
        """By file, line and column; each once."""
        discreet = (self._without_secrets(one) for one in self._found)
        found = sorted(discreet, key=lambda d: (d.file, d.line, d.column, d.severity, d.code))
        if self.suppressed:
            first = next(iter(self._found))
            message = f"{self.suppressed} more findings are not shown; mend these first"
            found.append(Diagnostic(first.file, 1, 1, 2, Severity.ERROR, "too-many", message))
        return found

    def _add(
        self, span: Span, severity: Severity, code: str, message: str, advice: str, kind: Kind
    ) -> None:
        if self.full:
            self.suppressed += 1
            return
        source = self._line(span.file, span.line)
        one_line = span.end_line == span.line and span.end_column > span.column
        end = span.end_column if one_line else max(span.column + 1, len(source.rstrip()) + 1)
        found = Diagnostic(
            span.file, span.line, span.column, end, severity, code, message, advice, kind, source
        )
        self._found[found] = None

    def _without_secrets(self, found: Diagnostic) -> Diagnostic:
        source = found.source
        for span in self._concealed:
            if span.file == found.file and span.line <= found.line <= span.end_line:
                first = span.column - 1 if span.line == found.line else 0
                last = span.end_column - 1 if span.end_line == found.line else len(source)
                source = source[:first] + "*" * len(source[first:last]) + source[last:]
        return replace(found, source=source) if source != found.source else found

    def _line(self, file: str, number: int) -> str:
        if file not in self._lines:
            self._lines[file] = _lines(self._files.get(file, ""))
        lines = self._lines[file]
        return lines[number - 1] if number <= len(lines) else ""


def quoted(text: str) -> str:
    """A text of the file as messages show it: in quotes, short, on one line."""
    shown = printable(text)
    return f"'{shown[:60]}…'" if len(shown) > 61 else f"'{shown}'"


def printable(text: str) -> str:
    """The text without anything that would move a terminal's cursor or fail to be encoded."""
    return text if text.isprintable() else "".join(map(_printable, text))


def listed(names: Iterable[str], last: str = "or") -> str:
    """The names as a sentence has them: `a, b or c`."""
    *head, tail = names
    return f"{', '.join(head)} {last} {tail}" if head else tail


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


@lru_cache(maxsize=1)
def _lines(text: str) -> list[str]:
    # YAML breaks lines at these only, not at all that str.splitlines() knows.
    unified = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n")
    return unified.replace("\u2028", "\n").replace("\u2029", "\n").split("\n")


def _underlined(source: str, column: int, end_column: int) -> tuple[str, str]:
    """The line, cut around the culprit if it is long, and carets below the culprit."""
    start, end = column - 1, end_column - 1
    cut = max(0, start - _LINE_SHOWN // 2) if len(source) > _LINE_SHOWN else 0
    shown = printable(source[cut : cut + _LINE_SHOWN]).rstrip()
    before = ("…" if cut else "") + shown[: start - cut]
    culprit = shown[start - cut : end - cut]
    line = ("…" if cut else "") + shown + ("…" if len(source) > cut + _LINE_SHOWN else "")
    return line, " " * _width(before) + "^" * max(1, _width(culprit))


def _width(text: str) -> int:
    """Columns that a terminal gives the text."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)
