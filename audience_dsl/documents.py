"""YAML text to nodes that know their place; everything that surprises is refused here.

Scalars stay text: what `no`, `12:30:00`, `0123` or `2026-03-01` means is decided later, by the
field it stands in.  Anchors, aliases, tags, merge keys, several documents and equal keys are
mistakes.  The nodes are built from the parser's stream of events, without recursion and with a
bound on depth and number, so that a hostile file costs no more than a large honest one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]

from audience_dsl.diagnostics import Diagnostics, Kind, Span, quoted
from audience_dsl.variables import FILE, STAND_INS, Replace, shield, unshield

BYTES_MOST = 1_000_000
DEPTH_MOST = 100
NODES_MOST = 100_000

# What YAML 1.1 calls printable, without Unicode's non-characters (see `variables`).
_UNREADABLE = re.compile(
    f"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[{STAND_INS}\ufeff]"
)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Scalar:
    """`text` has its variables replaced, by what is `filled`; `written` is what the file says.

    `plain` is false if it was quoted or a block.  `broken` marks what has been reported already:
    its text means nothing and is to be passed over.
    """

    text: str
    written: str
    span: Span
    plain: bool
    broken: bool = False
    filled: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class ListNode:
    items: list[Node]
    span: Span


@dataclass(slots=True, eq=False)
class MapNode:
    """Entries in the file's order; no two keys are equal."""

    entries: dict[str, tuple[Scalar, Node]]
    span: Span

    def key(self, name: str) -> Scalar:
        return self.entries[name][0]


Node = Scalar | ListNode | MapNode


def filled_in(node: Node) -> Iterator[str]:
    """What stands in a node for variables."""
    match node:
        case Scalar(filled=filled):
            yield from filled
        case ListNode(items=items):
            for item in items:
                yield from filled_in(item)
        case MapNode(entries=entries):
            for _, inner in entries.values():
                yield from filled_in(inner)


def read_document(file: str, text: str, replace: Replace, found: Diagnostics) -> Node | None:
    """The root of one file; `None` if the file is empty or so broken that it cannot be used."""
    text = text.removeprefix("\ufeff")
    if len(text) > BYTES_MOST or len(text.encode("utf-8", "replace")) > BYTES_MOST:
        message = "the file is larger than 1 MB"
        found.error(Span(file, 1, 1, 1, 1), "too-large", message, "split it into several files")
        return None
    unreadable = _UNREADABLE.search(text)
    if unreadable:
        before = text[: unreadable.start()]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        message = f"the character U+{ord(unreadable[0]):04X} is not allowed here"
        advice = "remove it, or write it as an escape in double quotes"
        found.error(Span(file, line, column, line, column + 1), "character", message, advice)
        return None
    builder = _Builder(file, replace, found)
    try:
        for event in yaml.parse(shield(text), Loader=_Loader):
            builder.add(event)
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        builder.report_syntax(error)
        return None
    return builder.root


class _Refused(Exception):
    """Reading on makes no sense; the reason has been reported."""


class _Builder:
    def __init__(self, file: str, replace: Replace, found: Diagnostics) -> None:
        self._file = file
        self._replace = replace
        self._found = found
        self._open: list[ListNode | MapNode] = []
        self._keys: list[Scalar | None] = []  # per open node: the key that waits for its value
        self._nodes = 0
        self._documents = 0
        self.root: Node | None = None

    def add(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._check(event)
                self._place(self._scalar(event))
            case yaml.MappingStartEvent():
                self._check(event)
                self._push(MapNode({}, self._span(event)))
            case yaml.SequenceStartEvent():
                self._check(event)
                self._push(ListNode([], self._span(event)))
            case yaml.CollectionEndEvent():
                self._keys.pop()
                node = self._open.pop()
                end = self._span(event)
                node.span.end_line, node.span.end_column = end.end_line, end.end_column
                self._place(node)
            case yaml.AliasEvent():
                span = self._span(event)
                advice = "write the value out where it is needed"
                self._found.error(span, "alias", "YAML aliases are not allowed", advice)
                self._place(Scalar("", "*", span, plain=True, broken=True))
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    advice = "put the second document into a file of its own"
                    self._refuse(event, "documents", "a file holds one YAML document", advice)

    def report_syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = unshield(error.problem or error.context or "it cannot be read")
        advice = _advice(problem)
        if error.context and error.context_mark and "tab" not in problem:
            advice = f"{error.context} that starts at line {error.context_mark.line + 1}\n{advice}"
        span = Span(self._file, line, column, line, column + 1)
        self._found.error(span, "yaml", f"this is not valid YAML: {problem}", advice.strip())

    def _check(self, event: yaml.NodeEvent) -> None:
        self._nodes += 1
        if self._nodes > NODES_MOST:
            message = f"the file has more than {NODES_MOST:,} values"
            self._refuse(event, "too-large", message, "split it into several files")
        if event.anchor is not None:
            advice = "remove it and write the value out where it is needed"
            self._found.error(self._span(event), "anchor", "YAML anchors are not allowed", advice)
        if event.tag is not None:
            message = f"YAML tags such as {quoted(event.tag)} are not allowed"
            advice = "remove the tag: the field itself says how its value is read"
            self._found.error(self._span(event), "tag", message, advice)

    def _push(self, node: ListNode | MapNode) -> None:
        if len(self._open) >= DEPTH_MOST:
            message = f"more than {DEPTH_MOST} levels of nesting"
            self._found.error(node.span, "too-deep", message, "flatten the definition")
            raise _Refused
        if self._open and isinstance(self._open[-1], MapNode) and self._keys[-1] is None:
            message = "a key is a name, not a list or mapping"
            advice = 'quote what is meant to start with a bracket, such as "{{ user_id }}"'
            self._found.error(node.span, "complex-key", message, advice)
            raise _Refused
        self._open.append(node)
        self._keys.append(None)

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, ListNode):
            parent.items.append(node)
            return
        key = self._keys[-1]
        if key is None:
            assert isinstance(node, Scalar)  # _push has refused the others
            self._keys[-1] = node
            return
        self._keys[-1] = None
        self._enter(parent, key, node)

    def _enter(self, parent: MapNode, key: Scalar, node: Node) -> None:
        if key.broken:
            return
        name = key.written
        if name == "<<" and key.plain:
            advice = "write the keys out"
            self._found.error(key.span, "merge-key", "YAML merge keys are not allowed", advice)
        elif name in parent.entries:
            first = parent.entries[name][0].span
            message = f"{quoted(name)} is already defined at {first}"
            self._found.error(key.span, "duplicate", message, "remove or rename one of the two")
        else:
            parent.entries[name] = (key, node)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        span = self._span(event)
        written = unshield(event.value)
        scalar = Scalar(written, written, span, plain=not event.style)
        if "\0" in written:
            message = "a text may not hold the character NUL"
            self._found.error(span, "character", message, "remove \\0 from the text")
            scalar.broken = True
        is_key = bool(self._open) and isinstance(self._open[-1], MapNode) and not self._keys[-1]
        if "${" in written and not is_key:
            self._replace_variables(scalar)
        return scalar

    def _replace_variables(self, scalar: Scalar) -> None:
        replacement = self._replace(scalar.written)
        if replacement.malformed:
            message = "'${' starts the name of an environment variable, but none follows"
            advice = "write ${NAME} or ${NAME:-default}; $${ stands for a literal ${"
            self._found.error(scalar.span, "variable", message, advice)
        for name in replacement.missing:
            message = f"the environment variable {name} is not set"
            advice = f"set it, or give a default: ${{{name}:-default}}"
            if name.startswith(FILE):
                message = f"the file {name.removeprefix(FILE)} cannot be read as a text"
                advice = f"let Usher read it, or give a default: ${{{name}:-default}}"
            self._found.error(scalar.span, "missing-variable", message, advice, Kind.ENVIRONMENT)
        scalar.text, scalar.filled = replacement.text, replacement.filled
        scalar.broken |= replacement.malformed or bool(replacement.missing) or "\0" in scalar.text

    def _refuse(self, event: yaml.Event, code: str, message: str, advice: str) -> None:
        self._found.error(self._span(event), code, message, advice)
        raise _Refused

    def _span(self, event: yaml.Event) -> Span:
        start, end = event.start_mark, event.end_mark
        return Span(self._file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _advice(problem: str) -> str:
    """What the parser's most frequent complaints mean to somebody who is no expert in YAML."""
    if "mapping values are not allowed" in problem:
        return "check the indentation; quote a text that contains ': '"
    if "tab character" in problem:
        return "indent with spaces, not with tabs"
    if "cannot start any token" in problem:
        return "indent with spaces, not tabs; quote a text that starts with @ ` or %"
    if "did not find expected key" in problem or "block end" in problem:
        return "check the indentation of this line and the ones above it"
    if "expected ',' or" in problem:
        return "a bracket is not closed, or a comma is missing"
    return ""
