"""What a sync means: whom it leaves out, and what its mapping needs to know of each transition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from audience_dsl.definitions import (
    AudienceDefinition,
    Collection,
    EventModel,
    Project,
    Sync,
    comparisons_of,
)
from audience_dsl.diagnostics import Span, listed, quoted
from audience_dsl.documents import ListNode, MapNode, Node
from audience_dsl.filters import FilterResolver
from audience_dsl.models import KnownColumns
from audience_dsl.reading import Fields, Reader
from audience_dsl.structures import Path, leaves
from audience_dsl.templates import TemplateError, compile_template
from engine.records import TransitionRecord

# The keys of a transition record, which a mapping may name; `entered` says the type as a flag.
RECORD_KEYS = TransitionRecord.__struct_fields__
CAUSE_KEYS = ("kind", "message_id", "condition", "pull")
_VARIABLES = (*RECORD_KEYS, "entered", "properties", "event")

# The collection that a pull writes for syncs; no collection of a project can be called so.
SYNC_COLLECTION = "@syncs"


# A variable that a mapping names, and where.
Use = tuple[Span, tuple[str, ...]]


class SyncResolver:
    """Resolves syncs; what is wrong is reported, and what depends on it is left out."""

    def __init__(
        self,
        audiences: Mapping[str, AudienceDefinition],
        columns: Mapping[str, KnownColumns | None],
        events: Mapping[str, EventModel],
        reader: Reader,
    ) -> None:
        self._audiences = audiences
        self._columns = columns
        self._events = events
        self._reader = reader

    def resolve(self, key: str, fields: Fields) -> Sync | None:
        audience, destination = fields.get("audience"), fields.get("destination")
        on = [one for one in fields.get("on", ["entered", "exited"]) if one is not None]
        if len(set(on)) < len(on):
            message = f"'on' names {listed(on, 'and')}, one of them twice"
            self._reader.fail(fields.at("on"), "duplicate", message, "name each once")
        definition = self._audiences.get(audience)
        parent = definition.parent_model if definition else ""
        columns = self._columns.get(parent) or KnownColumns({}, open=True)
        mapping = self._mapping(fields)
        uses = [] if mapping is None else self._uses(mapping, fields.nodes["mapping"])
        for span, name in uses:
            self._check_use(name, span, columns, parent)
        where = fields.get("only_if")
        only_if = None
        if where is not None:
            only_if = FilterResolver(self._reader).filter(where, columns, f" of {parent}")
        if "initial_rate" in fields.nodes and fields.get("initial") == "hold":
            message = "'initial_rate' is about members that 'initial: hold' does not send"
            span = fields.keys["initial_rate"].span
            self._reader.fail(span, "too-many-keys", message, "remove one of the two")
        if audience is None or destination is None:
            return None
        compared = {one.column for one in comparisons_of(only_if)}
        return Sync(
            key,
            audience,
            destination,
            tuple(on),
            mapping,
            only_if,
            fields.get("initial", "send") == "send",
            fields.get("initial_rate"),
            tuple(sorted(_below("properties", uses) | compared)),
            tuple(sorted(_below("event", uses))),
        )

    def _mapping(self, fields: Fields) -> dict[str, object] | None:
        entries = fields.get("mapping")
        return {name: one.value for name, one in entries.items()} if entries else None

    def _uses(self, mapping: Mapping[str, object], node: Node) -> list[Use]:
        """The variables that the mapping names; leaf by leaf, so that all mistakes are told."""
        uses = []
        for path, leaf in leaves(mapping):
            span = _at(node, path)
            try:
                uses += [(span, use.name) for use in compile_template(leaf).uses]
            except TemplateError as error:
                self._reader.fail(span, "template", error.what)
        return uses

    def _check_use(
        self, name: tuple[str, ...], span: Span, columns: KnownColumns, parent: str
    ) -> None:
        match name:
            case ("properties" | "event" as root,):
                message = f"{root!r} alone is everything that is known of a user or an event"
                self._reader.fail(span, "template", message, f"name one, as in {root}.name")
            case ("properties", column, *rest):
                self._check_column(column, rest, columns, parent, span)
            case ("event", alias, *_):
                self._check_event_property(alias, parent, span)
            case ("cause", key, *_) if key not in CAUSE_KEYS:
                self._reader.unknown(span, "key", key, dict.fromkeys(CAUSE_KEYS), " of cause")
            case (first, *_) if first not in _VARIABLES:
                self._unknown_variable(first, columns, span)
            case (first, _, *_) if first != "cause":
                self._reader.fail(span, "template", f"{first!r} has no parts", f"write {first}")

    def _check_column(
        self, column: str, rest: list[str], columns: KnownColumns, parent: str, span: Span
    ) -> None:
        if column not in columns.types and not columns.open:
            self._reader.unknown(span, "property", column, columns.places, f" of {parent}")
        elif rest:
            message = f"'properties.{column}' has no parts"
            self._reader.fail(span, "template", message, f"write properties.{column}")

    def _check_event_property(self, name: str, parent: str, span: Span) -> None:
        own = [one for one in self._events.values() if one.parent_model == parent or not parent]
        known = dict.fromkeys(alias for model in own for alias in model.properties)
        if name not in known:
            self._reader.unknown(span, "property", name, known, f" of the events of {parent}")

    def _unknown_variable(self, name: str, columns: KnownColumns, span: Span) -> None:
        if name in columns.types:
            message = f"unknown variable {quoted(name)}"
            advice = f"did you mean 'properties.{name}'?"
            self._reader.fail(span, "unknown-name", message, advice)
        else:
            self._reader.unknown(span, "variable", name, dict.fromkeys(_VARIABLES))


def carried_properties(project: Project) -> dict[str, frozenset[str]]:
    """By parent model, what the syncs' mappings name of events."""
    carried: dict[str, frozenset[str]] = {}
    for sync in project.syncs.values():
        parent = project.audiences[sync.audience].parent_model
        carried[parent] = carried.get(parent, frozenset()) | {*sync.event_properties}
    return carried


def sync_collection(parent: str, syncs: Iterable[Sync]) -> Collection | None:
    """What the syncs of a parent model's audiences look up in a snapshot, if anything."""
    needed = {column for sync in syncs for column in sync.properties}
    return Collection(SYNC_COLLECTION, parent, (), tuple(sorted(needed))) if needed else None


def _below(root: str, uses: Iterable[Use]) -> set[str]:
    """What is named below a root."""
    return {name[1] for _, name in uses if name[0] == root and len(name) > 1}


def _at(node: Node, path: Path) -> Span:
    """Where the value at a path stands."""
    for step in path:
        if isinstance(node, MapNode) and isinstance(step, str):
            _, node = node.entries[step]
        elif isinstance(node, ListNode) and isinstance(step, int):
            node = node.items[step]
    return node.span
