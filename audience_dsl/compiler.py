"""From the files of a project to its definitions and plans, or to all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any as Value

from audience_dsl.catalog import Catalog
from audience_dsl.collections import collection
from audience_dsl.conditions import ConditionResolver, Interned
from audience_dsl.definitions import (
    AudienceDefinition,
    Collection,
    ColumnType,
    EventCondition,
    EventModel,
    ParentModel,
    ParentPlan,
    Project,
    RelatedModel,
    Settings,
    Sync,
)
from audience_dsl.diagnostics import Diagnostic, Diagnostics, Span, quoted
from audience_dsl.documents import ListNode, MapNode, Node, Scalar
from audience_dsl.doubts import possible_outcomes, small, without_references
from audience_dsl.grammar import REFERENCES, Grammar, grammar
from audience_dsl.models import (
    Columns,
    KnownColumns,
    Model,
    Unreachable,
    event_model,
    known_columns,
    parent_model,
    related_model,
    settings,
)
from audience_dsl.plans import parent_plan
from audience_dsl.reading import Entry, Fields, Reader
from audience_dsl.sections import Sections, read_sections
from audience_dsl.shapes import MapOf, Record
from audience_dsl.syncs import SyncResolver, sync_collection
from audience_dsl.variables import Variables
from engine.plan import All, Tree


@dataclass(frozen=True, slots=True)
class Compilation:
    """`project` is `None` if any diagnostic is an error; they are in the order of the files."""

    project: Project | None
    diagnostics: tuple[Diagnostic, ...]


def compile_project(
    files: Mapping[str, str],
    environment: Mapping[str, str],
    columns: Columns,
    destinations: Mapping[str, Record],
) -> Compilation:
    """Compile a whole project.

    Args:
        files: YAML texts by path; the paths appear in diagnostics.
        environment: The variables that `${VAR}` may name.
        columns: Asked once for each parent model: its columns in the warehouse, or `Unreachable`
            (or `None`), in which case undeclared properties are taken as they come.
        destinations: The options of each kind of destination, by the kind's name.

    Never raises for what stands in the files.
    """
    found = Diagnostics(files)
    variables = Variables(environment)
    language = grammar(destinations)
    sections = read_sections(files, language, variables.replace, found)

    def discreet(
        warehouse: Settings | None, model: Model
    ) -> Mapping[str, ColumnType] | Unreachable | None:
        answer = columns(warehouse, model)
        if isinstance(answer, Unreachable):
            return Unreachable(variables.hide(answer.reason))
        return answer

    project = _Compiler(sections, language, found, discreet).project()
    return Compilation(None if found.errors else project, tuple(found.in_order()))


class _Compiler:
    def __init__(
        self, sections: Sections, language: Grammar, found: Diagnostics, columns: Columns
    ) -> None:
        self._sections = sections
        self._grammar = language
        self._found = found
        self._columns = columns
        self._reader = Reader(found, sections.names(), REFERENCES, sections.uncertain)

    def project(self) -> Project:
        name = self._once("project")
        warehouse, serving, store = (self._once(one) for one in ("warehouse", "serving", "store"))
        sources = self._sources()
        warehouse = settings("warehouse", warehouse) if warehouse else None
        parents, parent_columns = self._parent_models(warehouse)
        related, related_columns = self._related_models(warehouse)
        events, event_properties = self._events()
        audiences = self._audiences(
            parents, parent_columns, events, event_properties, related, related_columns
        )
        collections = self._collections(parents, parent_columns)
        destinations = self._settings("destinations")
        syncs = self._syncs(audiences, parent_columns, events)
        return Project(
            name or "project",
            warehouse,
            sources,
            parents,
            events,
            audiences.definitions,
            destinations,
            syncs,
            {
                key: _with_collections(plan, collections, _syncs_of(plan, syncs))
                for key, plan in audiences.plans.items()
            },
            serving.plain() if serving else {},
            settings("store", store) if store else None,
            {key: model for key, model in related.items() if model is not None},
            collections,
        )

    def _once(self, section: str) -> Value:
        if section not in self._sections.once:
            return None
        key, node = self._sections.once[section]
        return self._reader.read(node, self._grammar[section].shape, f"'{section}'", key)

    def _entries(self, section: str) -> dict[str, Entry]:
        """The entries that could be read, in the order of files and lines."""
        shape = self._grammar[section].shape
        assert isinstance(shape, MapOf)
        read = {}
        for name, (key, node) in self._sections.entries[section].items():
            if self._reader.check_key(key, shape):
                value = self._reader.read(node, shape.value, quoted(name), key)
                if value is not None:
                    read[name] = Entry(key, value)
        return read

    def _settings(self, section: str) -> dict[str, Settings]:
        return {key: settings(key, entry.value) for key, entry in self._entries(section).items()}

    def _sources(self) -> dict[str, Settings]:
        """What a sender brings is for one source: its keys are of no other."""
        sources: dict[str, Settings] = {}
        owners: dict[tuple[str, str], str] = {}
        for key, entry in self._entries("sources").items():
            sources[key] = settings(key, entry.value)
            for name in ("write_keys", "app_ids"):
                senders = entry.value.get(name) or ()
                others = {owners.setdefault((name, one), key) for one in senders} - {key}
                if others:
                    message = f"source {quoted(min(others))} has one of these {name} as well"
                    advice = "name each with one source"
                    self._reader.fail(entry.value.at(name), "duplicate", message, advice)
        return sources

    def _parent_models(
        self, warehouse: Settings | None
    ) -> tuple[dict[str, ParentModel], dict[str, KnownColumns | None]]:
        models: dict[str, ParentModel] = {}
        columns: dict[str, KnownColumns | None] = {}
        for key, entry in self._entries("parent_models").items():
            failures = self._reader.failures
            model = parent_model(key, entry.value, self._reader)
            if model is None or self._reader.failures > failures:
                columns[key] = None
                continue
            self._check_warehouse(model, entry)
            if warehouse is None and "warehouse" in self._sections.once:
                models[key], columns[key] = model, None  # its settings have mistakes
                continue
            models[key], columns[key] = known_columns(
                model, entry.value, warehouse, self._columns, self._reader
            )
        return models, columns

    def _check_warehouse(self, model: Model, entry: Entry) -> None:
        if model.source.table is None or "warehouse" in self._sections.once:
            return
        message = "a table is read from the warehouse, and no warehouse is defined"
        advice = "add a section such as warehouse: {type: duckdb, path: warehouse.duckdb}"
        if "warehouse" not in self._sections.uncertain:
            span = entry.value.get("from").at("table")
            self._reader.fail(span, "missing-key", message, advice)

    def _related_models(
        self, warehouse: Settings | None
    ) -> tuple[dict[str, RelatedModel | None], dict[str, KnownColumns | None]]:
        """Models that others refer to come first; `None` stands for what has mistakes.

        The warehouse is asked for the columns of those alone that conditions need.
        """
        entries = self._entries("related_models")
        models: dict[str, RelatedModel | None] = {}
        columns: dict[str, KnownColumns | None] = {}
        audiences = self._sections.entries["audiences"].values()
        asked = {name for _, node in audiences for name in _related(node)}
        asked |= {entries[key].value.get("related_model") for key in asked & entries.keys()}
        for key in _nearest_first(entries, self._reader):
            entry = entries[key]
            models[key] = columns[key] = None
            through = entry.value.get("related_model")
            if through is not None and models.get(through) is None:
                continue
            failures = self._reader.failures
            beyond = None if through is None else models[through]
            model = related_model(key, entry.value, beyond, self._reader)
            if model is None or self._reader.failures > failures:
                continue
            models[key] = model
            self._check_warehouse(model, entry)
            if key in asked and (warehouse is not None or "warehouse" not in self._sections.once):
                models[key], columns[key] = known_columns(
                    model, entry.value, warehouse, self._columns, self._reader
                )
        return models, columns

    def _events(self) -> tuple[dict[str, EventModel], dict[str, KnownColumns]]:
        models: dict[str, EventModel] = {}
        properties: dict[str, KnownColumns] = {}
        for key, entry in self._entries("events").items():
            model = event_model(key, entry.value)
            if model is None:
                continue
            models[key] = model
            declared: dict[str, Entry] = entry.value.get("properties", {})
            # A property whose path or type is wrong was reported; what uses it says nothing more.
            properties[key] = KnownColumns(
                {name: one.type for name, one in model.properties.items()},
                {name: one.key for name, one in declared.items()},
                open="properties" in entry.value.nodes and len(declared) > len(model.properties),
            )
        return models, properties

    def _collections(
        self, parents: dict[str, ParentModel], columns: dict[str, KnownColumns | None]
    ) -> dict[str, Collection]:
        read = {}
        for key, entry in self._entries("collections").items():
            parent = entry.value.get("parent_model")
            model, known = parents.get(parent), columns.get(parent)
            if model is not None and known is not None:
                read[key] = collection(key, entry.value, model, known, self._reader)
        return read

    def _syncs(
        self,
        audiences: _Audiences,
        columns: dict[str, KnownColumns | None],
        events: dict[str, EventModel],
    ) -> dict[str, Sync]:
        resolver = SyncResolver(audiences.definitions, columns, events, self._reader)
        found = {
            key: resolver.resolve(key, entry.value) for key, entry in self._entries("syncs").items()
        }
        return {key: one for key, one in found.items() if one is not None}

    def _audiences(
        self,
        parents: dict[str, ParentModel],
        parent_columns: dict[str, KnownColumns | None],
        events: dict[str, EventModel],
        event_properties: dict[str, KnownColumns],
        related: dict[str, RelatedModel | None],
        related_columns: dict[str, KnownColumns | None],
    ) -> _Audiences:
        entries = self._entries("audiences")
        catalog = Catalog(
            events,
            event_properties,
            parent_columns,
            {key: entry.value.get("parent_model") for key, entry in entries.items()},
            related,
            related_columns,
        )
        audiences = _Audiences(self._found, self._reader, catalog)
        for key, entry in entries.items():
            audiences.add(key, entry)
        audiences.check_references()
        if not self._found.errors:
            audiences.compile(parents, events)
        return audiences


def _syncs_of(plan: ParentPlan, syncs: dict[str, Sync]) -> list[Sync]:
    audiences = {one.key for one in plan.plan.audiences}
    return [one for one in syncs.values() if one.audience in audiences]


def _with_collections(
    plan: ParentPlan, collections: dict[str, Collection], syncs: list[Sync]
) -> ParentPlan:
    parent = plan.parent_model.key
    own = [one for one in collections.values() if one.parent_model == parent]
    needed = sync_collection(parent, syncs)
    return replace(plan, collections=(*own, *([needed] if needed else [])))


def _related(node: Node) -> Iterator[str]:
    """The related models that conditions somewhere inside ask for."""
    match node:
        case MapNode(entries=entries):
            for name, (_, inner) in entries.items():
                if name == "related" and isinstance(inner, Scalar):
                    yield inner.text
                yield from _related(inner)
        case ListNode(items=items):
            for item in items:
                yield from _related(item)


def _nearest_first(entries: dict[str, Entry], reader: Reader) -> list[str]:
    """The related models, each after the one that it belongs to; circles are reported."""
    ordered: dict[str, None] = {}
    for start in entries:
        path = [start]
        while (through := entries[path[-1]].value.get("related_model")) in entries:
            if through in path:
                if through not in ordered:
                    circle = [*path[path.index(through) :], through]
                    message = f"related model {quoted(through)} belongs to itself: "
                    message += " → ".join(circle)
                    span = entries[path[-1]].value.at("related_model")
                    reader.fail(span, "cycle", message, "let one of them name its parent_model")
                    ordered |= dict.fromkeys(circle)
                break
            path.append(through)
        ordered |= dict.fromkeys(reversed(path))
    return list(ordered)


class _Audiences:
    """The audiences of all parent models."""

    def __init__(self, found: Diagnostics, reader: Reader, catalog: Catalog) -> None:
        self._found = found
        self._reader = reader
        self._catalog = catalog
        self._interned: dict[str, Interned] = {}
        self._trees: dict[str, Tree] = {}
        self._references: dict[str, dict[str, Span]] = {}
        self._keys: dict[str, Span] = {}
        self.definitions: dict[str, AudienceDefinition] = {}
        self.plans: dict[str, ParentPlan] = {}

    def add(self, key: str, entry: Entry) -> None:
        """Resolve one audience; the mistakes are reported, and it is left out."""
        fields: Fields = entry.value
        parent, where = fields.get("parent_model"), fields.get("where")
        if parent is None or where is None:
            return
        interned = self._interned.setdefault(parent, Interned())
        resolver = ConditionResolver(parent, self._catalog, interned, self._reader)
        tree = resolver.resolve(where)
        self._references[key] = resolver.references
        if fields.get("members", "all") == "seen":
            tree = self._seen(tree, parent, interned, resolver, fields)
        if tree is None:
            return
        self._trees[key] = tree
        self._keys[key] = entry.key.span
        self.definitions[key] = AudienceDefinition(
            key,
            parent,
            fields.get("name", ""),
            fields.get("description", ""),
            exits_on_delete=fields.get("on_delete", "exit") == "exit",
        )

    def _seen(
        self,
        tree: Tree | None,
        parent: str,
        interned: Interned,
        resolver: ConditionResolver,
        fields: Fields,
    ) -> Tree | None:
        """The tree, for those with any event within the longest window of its conditions."""
        if tree is None:
            return None
        if not resolver.windows:
            message = "'members: seen' needs an event condition, whose window says seen since when"
            advice = "add one to where, or write members: all"
            self._reader.fail(fields.at("members"), "seen", message, advice)
            return None
        own = sorted(
            key for key, model in self._catalog.events.items()
            if model is not None and model.parent_model == parent
        )  # fmt: skip
        of = EventCondition(tuple(own), implicit=True)
        return All((tree, interned.condition(of, max(resolver.windows), 1, None)))

    def check_references(self) -> None:
        """Report audiences that refer to themselves; put the others' references first."""
        ordered: dict[str, Tree] = {}
        state: dict[str, str] = {}
        for start in self._references:
            path = [start]
            pending = [iter(self._references[start].items())]
            if state.setdefault(start, "open") == "done":
                continue
            while pending:
                target, span = next(pending[-1], (None, None))
                if target is None or span is None:
                    key = path.pop()
                    pending.pop()
                    state[key] = "done"
                    if key in self._trees:
                        ordered[key] = self._trees[key]
                elif state.get(target) == "open":
                    self._report_cycle([*path[path.index(target) :], target], span)
                elif target in self._references and target not in state:
                    state[target] = "open"
                    path.append(target)
                    pending.append(iter(self._references[target].items()))
        self._trees = ordered

    def _report_cycle(self, cycle: list[str], span: Span) -> None:
        shown = cycle if len(cycle) < 12 else [*cycle[:8], "…", *cycle[-2:]]
        message = f"audience {quoted(cycle[0])} refers to itself: {' → '.join(shown)}"
        self._reader.fail(span, "cycle", message, "remove one of these references")

    def compile(self, parents: dict[str, ParentModel], events: dict[str, EventModel]) -> None:
        """Make the plans; only of a project without errors."""
        for parent, model in parents.items():
            interned = self._interned.get(parent, Interned())
            trees = {
                key: tree
                for key, tree in self._trees.items()
                if self.definitions[key].parent_model == parent
            }
            self.plans[parent] = parent_plan(model, interned, trees, events)
            self._doubt(trees, interned)

    def _doubt(self, trees: dict[str, Tree], interned: Interned) -> None:
        rules: dict[str, Tree] = {}
        for key, tree in trees.items():
            rule = without_references(tree, rules)
            if small(rule):
                rules[key] = rule
            can_be_true, can_be_false = possible_outcomes(rule, interned)
            if not can_be_true:
                message = f"nobody can ever be in audience {quoted(key)}: its conditions exclude "
                advice = "perhaps any is meant in the place of all"
                self._found.warning(self._keys[key], "never", message + "each other", advice)
            elif not can_be_false:
                message = f"everybody is always in audience {quoted(key)}: nobody can leave it"
                advice = "one of its conditions is true whenever the other is not"
                self._found.warning(self._keys[key], "always", message, advice)
