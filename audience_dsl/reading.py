"""Nodes to values, by their shapes; whatever does not fit becomes a diagnostic.

What could not be read is `None` or left out, and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from audience_dsl.diagnostics import Diagnostics, Span, listed, quoted
from audience_dsl.documents import ListNode, MapNode, Node, Scalar
from audience_dsl.phrases import asked, forms_help, known_names
from audience_dsl.scalar_reading import ScalarReader
from audience_dsl.scalars import core_structure, is_null
from audience_dsl.shapes import (
    Anything,
    Choice,
    Either,
    Field,
    Forms,
    ListOf,
    MapOf,
    Operand,
    Record,
    Reference,
    Shape,
    Tagged,
)


@dataclass(slots=True)
class Fields:
    """A record that was read.  `form` is the key or type that chose it; `span` is where it is.

    `values` lack the fields that are absent or could not be read; `keys` and `nodes` have all that
    are in the file, those not known included.
    """

    form: str
    span: Span
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Scalar] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def written(self, name: str) -> str:
        """A field's text as the file has it, with the variables' names and not their values."""
        node = self.nodes[name]
        return node.written if isinstance(node, Scalar) else ""

    def at(self, name: str) -> Span:
        """Where the field's value is; an empty value is where its key is."""
        node = self.nodes[name]
        return self.keys[name].span if is_null(node) else node.span

    def plain(self) -> dict[str, Any]:
        """The values as dictionaries and lists alone; of a `Tagged` inside with its `type`."""
        return {name: _plain(value) for name, value in self.values.items()}


@dataclass(slots=True)
class Entry:
    """An entry of a `MapOf`: the key that the user chose, and the value."""

    key: Scalar
    value: Any


class Reader(ScalarReader):
    """Reads nodes of any shape; `references` are the shapes that others name."""

    def __init__(
        self,
        found: Diagnostics,
        names: Mapping[str, Mapping[str, Scalar]],
        references: Mapping[str, Shape],
        uncertain: Collection[str],
    ) -> None:
        super().__init__(found, names, uncertain)
        self._references = references

    def read(self, node: Node, shape: Shape, what: str, key: Scalar | None = None) -> Any:
        """The value, or `None` if there is none or it does not fit.

        `what` names it; `key`, if it has one, is where to point if something is missing in it.
        """
        if isinstance(shape, Reference):
            shape = self._references[shape.name]
        if isinstance(node, Scalar) and node.broken:
            self.failures += 1
            return None
        match shape:
            case Operand():
                return node
            case Anything():
                return core_structure(node)
            case ListOf():
                return self._list(node, shape, what)
            case MapOf():
                return self._map(node, shape, what)
            case Record():
                return self._record(node, shape, what, key)
            case Tagged():
                return self._tagged(node, shape, what, key)
            case Forms():
                return self._forms(node, shape, what)
            case Either(short, long):
                return self.read(node, long if isinstance(node, MapNode) else short, what, key)
            case _:
                return self.read_scalar(node, shape, what, key)

    def _list(self, node: Node, shape: ListOf, what: str) -> list[Any] | None:
        """The values of all items, with `None` for those that do not fit."""
        if not isinstance(node, ListNode):
            advice = ""
            if isinstance(node, Scalar) and node.text and not is_null(node):
                advice = f"write [{node.written}]"
            self.fail(node.span, "wrong-type", f"{what} must be a list", advice)
            return None
        if shape.length not in (None, len(node.items)):
            message = f"{what} must be a list of {shape.length}, not of {len(node.items)}"
            self.fail(node.span, "wrong-value", message)
            return None
        if not node.items:
            self.fail(node.span, "empty", f"{what} is an empty list", "list something or remove it")
            return None
        return [self.read(item, shape.item, f"an item of {what}") for item in node.items]

    def _map(self, node: Node, shape: MapOf, what: str) -> dict[str, Entry] | None:
        if not isinstance(node, MapNode):
            self.fail(node.span, "wrong-type", f"{what} must be a mapping")
            return None
        return {
            name: Entry(key, self.read(value, shape.value, quoted(name), key))
            for name, (key, value) in node.entries.items()
            if self.check_key(key, shape)
        }

    def check_key(self, key: Scalar, shape: MapOf) -> bool:
        if re.fullmatch(shape.key.pattern or ".+", key.written):
            return True
        message = f"{quoted(key.written)} cannot be a name here: it must be {shape.key.what}"
        legal = re.sub(r"[^A-Za-z0-9_-]+", "_", key.written).strip("_")
        advice = f"write {legal}" if re.fullmatch(shape.key.pattern, legal) else ""
        self.fail(key.span, "bad-key", message, advice)
        return False

    def _record(
        self, node: Node, shape: Record, what: str, place: Scalar | None = None, form: str = ""
    ) -> Fields | None:
        if not isinstance(node, MapNode):
            keys = listed([f"{one.name}:" for one in shape.fields if not one.refused][:6])
            advice = f"its keys are {keys}" if shape.fields else ""
            self.fail(node.span, "wrong-type", f"{what} must be a mapping", advice)
            return None
        fields = Fields(form, place.span if place else _place(node))
        failures = self.failures
        misspelt = set()
        for name, (key, value) in node.entries.items():
            fields.keys[name], fields.nodes[name] = key, value
            known = shape.by_name.get(name)
            if known is None and shape.open:
                fields.values[name] = core_structure(value)
            elif known is None:
                misspelt.add(self._unknown_key(key, shape, node))
            elif known.refused:
                message = f"'{name}' is not supported yet: {known.refused}"
                self.fail(key.span, "not-supported", message, known.instead)
            elif (read := self.read(value, known.shape, f"'{name}'", key)) is not None:
                fields.values[name] = read
        for known in shape.fields:
            if known.required and known.name not in fields.nodes.keys() | misspelt:
                self._missing_key(fields, known, form or shape.title)
        self._check_alternatives(fields, shape, form or shape.title)
        if shape.check is not None and self.failures == failures:
            for flaw in shape.check(fields.plain()):
                self.fail(_found_at(fields, flaw.path), "wrong-value", flaw.what, flaw.advice)
        return fields

    def _missing_key(self, fields: Fields, known: Field, title: str) -> None:
        message = f"{quoted(title)} needs '{known.name}', which is missing"
        advice = known.instead or f"add {known.name}: {asked(known.shape)}"
        self.fail(fields.span, "missing-key", message, advice)

    def _check_alternatives(self, fields: Fields, shape: Record, title: str) -> None:
        for group in shape.one_of:
            given = [name for name in fields.nodes if name in group.names]
            if len(given) > 1:
                both = f"both '{given[0]}' and '{given[1]}'"
                message = f"{quoted(title)} takes one {group.what}, not {both}"
                self.fail(fields.keys[given[1]].span, "too-many-keys", message, group.instead)
            elif not given and group.required and not fields.nodes.keys() - shape.by_name.keys():
                message = f"{quoted(title)} needs one {group.what}, and has none"
                advice = f"add {listed([f'{name}:' for name in group.names[:5]])}"
                self.fail(fields.span, "missing-key", message, advice)

    def _unknown_key(self, key: Scalar, shape: Record, node: MapNode) -> str | None:
        """Report it; return the field that is perhaps meant."""
        free = [one for one in shape.fields if not one.refused and one.name not in node.entries]
        known = [one.name for one in free]
        word = key.written.casefold().replace("-", "_")
        synonyms = (one.name for one in free if word in one.synonyms)
        close = next(synonyms, None) or self.suggestions.closest(key.written, known)
        message = f"unknown key {quoted(key.written)} in {quoted(shape.title)}"
        advice = f"did you mean {quoted(close)}?" if close else known_names("key", known)
        self.fail(key.span, "unknown-key", message, advice)
        return close

    def _tagged(self, node: Node, shape: Tagged, what: str, place: Scalar | None) -> Fields | None:
        if not isinstance(node, MapNode) or "type" not in node.entries:
            span = place.span if place and isinstance(node, MapNode) else node.span
            message = f"{what} must be a mapping with a 'type'"
            self.fail(span, "missing-key", message, f"types are {listed(shape.types)}")
            return None
        key, tag = node.entries["type"]
        kind = self.read(tag, Choice(dict.fromkeys(shape.types, "")), "'type'")
        if kind is None:
            return None
        rest = MapNode({k: v for k, v in node.entries.items() if k != "type"}, node.span)
        return self._record(rest, shape.types[kind], what, key, form=kind)

    def _forms(self, node: Node, shape: Forms, what: str) -> Fields | None:
        if isinstance(node, ListNode) and shape.bare is not None:
            values = self._list(node, shape.bare, what)
            return Fields("all", node.span, {"all": values}, {}, {"all": node})
        if not isinstance(node, MapNode):
            kind, advice = "text", forms_help(shape)
            if isinstance(node, ListNode):
                kind = "list"
                advice = "put the list under all: if all must hold, under any: if one is enough"
            message = f"{what} must be {asked(shape)}, not a {kind}"
            self.fail(node.span, "wrong-type", message, advice)
            return None
        named = [name for name in node.entries if name in shape.forms]
        # A form may have a field that is called like another form: `related: orders, none: true`.
        fields = {of: shape.forms[of].by_name for of in named}
        given = [one for one in named if not any(one in fields[of] for of in named if of != one)]
        if len(given) == 1:
            return self._form(node, shape, given[0], what)
        if len(given) > 1:
            message = f"'{given[0]}' and '{given[1]}' are two {shape.title}s in one mapping"
            advice = "put each into an item of its own of a list under all or any"
            self.fail(node.key(given[1]).span, "too-many-keys", message, advice)
            return None
        if shape.otherwise is not None and node.entries:
            entries = self._map(node, shape.otherwise, what)
            return Fields("", _place(node), {"": entries}, {}, {})
        self._formless(node, shape, what)
        return None

    def _form(self, node: MapNode, shape: Forms, name: str, what: str) -> Fields | None:
        record = shape.forms[name]
        if record.refused:
            self.fail(node.key(name).span, "not-supported", record.refused, record.instead)
            return None
        return self._record(node, record, what, node.key(name), form=name)

    def _formless(self, node: MapNode, shape: Forms, what: str) -> None:
        known = [name for name, record in shape.forms.items() if not record.refused]
        for key, _ in node.entries.values():
            close = self.suggestions.closest(key.written, known)
            if close:
                message = f"unknown {shape.title} {quoted(key.written)}"
                self.fail(key.span, "unknown-key", message, f"did you mean {quoted(close)}?")
                return
        message = f"{what} is no {shape.title}: none of its keys names one"
        self.fail(_place(node), "missing-key", message, forms_help(shape))


def _plain(value: Any) -> Any:
    match value:
        case Fields(form=form):
            return ({"type": form} if form else {}) | value.plain()
        case Entry(value=inner):
            return _plain(inner)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _found_at(fields: Fields, path: tuple[str | int, ...]) -> Span:
    """Where a path leads from the record, as far as it does."""
    if not path or path[0] not in fields.nodes:
        return fields.span
    span = fields.at(str(path[0]))
    node = fields.nodes[str(path[0])]
    for step in path[1:]:
        match node:
            case MapNode(entries=entries) if step in entries:
                key, node = entries[str(step)]
                span = key.span if is_null(node) else node.span
            case ListNode(items=items) if isinstance(step, int) and step < len(items):
                node = items[step]
                span = node.span
            case _:
                break
    return span


def _place(node: MapNode) -> Span:
    """Where to point at a mapping that stands under no key: its first key."""
    return next((key.span for key, _ in node.entries.values()), node.span)
