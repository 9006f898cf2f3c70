"""An audience taken apart: each condition and group of its tree as an audience of its own.

Whoever wants to know how many users fulfil a part of a definition asks the engine, by the same plan
in which the parts stand as further audiences.  So a part means in a preview exactly what it means
in the job, and nothing is evaluated by a second set of rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from audience_dsl.definitions import Comparison, ParentPlan
from audience_dsl.wording import predicate_words
from engine.plan import All, Any, Audience, MemberOf, Not, Performed, Plan, Predicate, Tree, leaves

# Stands in no key that people can write.
_HIDDEN = "#"


@dataclass(frozen=True, slots=True)
class Part:
    """A condition or group: in words, and how many groups it stands in.

    Its members are those of the audience `key` in the probe's plan.
    """

    words: str
    depth: int
    key: str
    tree: Tree


@dataclass(frozen=True, slots=True)
class Probe:
    """A plan of some audiences with the parts of one, the whole first, then as they are written."""

    plan: ParentPlan
    parts: tuple[Part, ...]


def probe(of: ParentPlan, audience: str, beside: Collection[str]) -> Probe:
    """The plan of an audience, its parts, and the audiences `beside` it.

    Whatever these refer to is evaluated as well.
    """
    trees = {one.key: one.tree for one in of.plan.audiences}
    keys: dict[Tree, str] = {}
    parts = []
    for tree, depth in _parts(trees[audience], 0):
        key = keys.setdefault(tree, f"{_HIDDEN}{len(keys)}")
        parts.append(Part(_words(tree, of), depth, key, tree))
    wanted = with_references(of.plan, {audience, *beside})
    audiences = [one for one in of.plan.audiences if one.key in wanted]
    audiences += [Audience(key, "part", tree) for tree, key in keys.items()]
    plan = of.plan
    plan = Plan.build(plan.parent_model, plan.conditions, plan.absent, audiences, plan.predicates)
    return Probe(replace(of, plan=plan), tuple(parts))


def with_references(plan: Plan, audiences: Collection[str]) -> set[str]:
    """The audiences and all that they refer to, at whatever distance."""
    found: set[str] = set()
    # An audience comes after those that it refers to.
    for one in reversed(plan.audiences):
        if one.key in audiences or one.key in found:
            found.add(one.key)
            found |= {leaf.audience for leaf in leaves(one.tree) if isinstance(leaf, MemberOf)}
    return found


def leaves_of(plan: Plan, audience: str) -> Iterator[Performed | Predicate]:
    """All conditions that decide about an audience, also through others."""
    wanted = with_references(plan, {audience})
    for one in plan.audiences:
        if one.key in wanted:
            yield from (leaf for leaf in leaves(one.tree) if not isinstance(leaf, MemberOf))


def columns_of(of: ParentPlan, audience: str) -> list[str]:
    """The parent model's columns that an audience asks about, also through others."""
    predicates = [
        of.predicates[leaf.predicate]
        for leaf in leaves_of(of.plan, audience)
        if isinstance(leaf, Predicate)
    ]
    names = [one.column for one in predicates if isinstance(one, Comparison)]
    return list(dict.fromkeys(names))


def _parts(tree: Tree, depth: int) -> Iterator[tuple[Tree, int]]:
    yield tree, depth
    match tree:
        case Not(MemberOf()):
            pass
        case All(of) | Any(of) | Not(Any(of)):
            for one in of:
                yield from _parts(one, depth + 1)
        case Not(inner):
            yield from _parts(inner, depth + 1)


def _words(tree: Tree, of: ParentPlan) -> str:
    match tree:
        case All():
            return "all of"
        case Any():
            return "any of"
        case Not(Any()):
            return "none of"
        case Not(MemberOf(audience)):
            return f"not in audience {audience}"
        case Not():
            return "not"
        case MemberOf(audience):
            return f"in audience {audience}"
        case Performed(condition):
            return of.plan.conditions[condition].key
        case Predicate(predicate):
            return predicate_words(of.predicates[predicate])
