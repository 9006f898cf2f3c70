"""The sections of all files of a project, merged: who splits a file changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audience_dsl.diagnostics import Diagnostics, Span, listed, quoted
from audience_dsl.documents import MapNode, Node, Scalar, read_document
from audience_dsl.grammar import Grammar
from audience_dsl.scalars import is_null
from audience_dsl.shapes import MapOf
from audience_dsl.suggestions import Suggestions
from audience_dsl.variables import Replace


@dataclass(slots=True)
class Sections:
    """`once` has the sections that stand once, `entries` those that are mappings by key.

    `uncertain` are the sections of which names may be missing, as something could not be used.
    """

    once: dict[str, tuple[Scalar, Node]]
    entries: dict[str, dict[str, tuple[Scalar, Node]]]
    uncertain: set[str]

    def names(self) -> dict[str, dict[str, Scalar]]:
        return {
            section: {name: key for name, (key, _) in entries.items()}
            for section, entries in self.entries.items()
        }


def read_sections(
    files: Mapping[str, str], grammar: Grammar, replace: Replace, found: Diagnostics
) -> Sections:
    """Read all files in the order of their names."""
    spread = [name for name, section in grammar.items() if isinstance(section.shape, MapOf)]
    sections = Sections({}, {name: {} for name in spread}, set())
    suggestions = Suggestions()
    for file in sorted(files):
        errors = found.errors
        root = read_document(file, files[file], replace, found)
        if isinstance(root, MapNode):
            _merge(root, sections, grammar, suggestions, found)
        elif root is not None and not is_null(root):
            message = f"a file is a mapping of sections such as {listed(list(grammar)[4:9])}"
            found.error(root.span, "wrong-type", message)
            sections.uncertain.update(grammar)
        elif found.errors > errors:
            sections.uncertain.update(grammar)
    return sections


def _merge(
    root: MapNode,
    sections: Sections,
    grammar: Grammar,
    suggestions: Suggestions,
    found: Diagnostics,
) -> None:
    for name, (key, node) in root.entries.items():
        if name not in grammar:
            close = suggestions.closest(name, grammar)
            advice = (
                f"did you mean {quoted(close)}?" if close else f"sections are {listed(grammar)}"
            )
            found.error(key.span, "unknown-key", f"unknown section {quoted(name)}", advice)
            sections.uncertain.update([close] if close else [])
        elif name not in sections.entries:
            if name in sections.once:
                _report_twice(key, sections.once[name][0].span, found)
            else:
                sections.once[name] = (key, node)
        elif isinstance(node, MapNode):
            for entry, (entry_key, value) in node.entries.items():
                if entry in sections.entries[name]:
                    _report_twice(entry_key, sections.entries[name][entry][0].span, found)
                else:
                    sections.entries[name][entry] = (entry_key, value)
        elif not is_null(node):  # a section whose entries are all commented out is empty
            message = f"'{name}' must be a mapping from keys to definitions"
            found.error(node.span, "wrong-type", message)
            sections.uncertain.add(name)


def _report_twice(key: Scalar, first: Span, found: Diagnostics) -> None:
    message = f"{quoted(key.written)} is already defined at {first}"
    found.error(key.span, "duplicate", message, "remove or rename one of the two")
