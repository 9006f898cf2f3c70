"""A rule is called impossible, or always true, only if it is: no user contradicts a warning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.definitions import Comparison, ParentPlan
from audience_dsl.instants import SECOND
from audience_dsl.operators import holds
from engine.plan import All, Any, MemberOf, Not, Performed, Predicate, Tree
from tests.dsl.projects import SCHEMA, compiled, messages, plan_of, where

NOW = 1_772_359_200 * SECOND

CONDITIONS = st.sampled_from(
    [
        *(
            f"{{performed: viewed, within: {window}s, {count}{filter_}}}"
            for window in (2, 5)
            for count in ("at_least: 2", "at_most: 1", "exactly: 1", "between: [1, 2]")
            for filter_ in ("", ", where: {path: a}")
        ),
        "{did_not_perform: viewed, within: 3s}",
        "{property: plan, equals: a}",
        "{property: plan, not_equals: a}",
        "{property: plan, in: [a, b]}",
        "{property: plan, not_in: [a, c]}",
        "{property: plan, exists: false}",
        "{property: plan, contains: a}",
        "{property: ltv, greater_than: 1}",
        "{property: ltv, at_most: 1}",
        "{property: ltv, between: [1, 3]}",
        "{property: ltv, not_between: [0, 2]}",
        "{property: vip, is: true}",
        "{property: vip, not_equals: true}",
        "{property: joined, before: 2026-01-02}",
        "{property: joined, at_least: 2026-01-02}",
        "{property: joined, within_last: 2d}",
    ]
)
RULES = st.recursive(
    CONDITIONS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).flatmap(
            lambda of: st.sampled_from(["all", "any", "none"]).map(
                lambda kind: f"{{{kind}: [{', '.join(of)}]}}"
            )
        )
        | inner.map(lambda one: f"{{not: {one}}}")
    ),
    max_leaves=6,
)
USERS = st.fixed_dictionaries(
    {
        "plan": st.sampled_from([None, "a", "b", "c", "ab"]),
        "ltv": st.sampled_from([None, -1, 0, 1, 1.5, 2, 3, 4, float("nan")]),
        "vip": st.sampled_from([None, True, False]),
        "joined": st.sampled_from([None, "2026-01-01", "2026-01-02", "2026-02-28T12:00:00Z"]),
    }
)
EVENTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a", "b"])), max_size=5)


def truth(
    tree: Tree, plan: ParentPlan, user: dict[str, object], events: list[tuple[int, str]]
) -> bool:
    match tree:
        case All(of):
            return all(truth(one, plan, user, events) for one in of)
        case Any(of):
            return any(truth(one, plan, user, events) for one in of)
        case Not(of=inner):
            return not truth(inner, plan, user, events)
        case Predicate(number):
            predicate = plan.predicates[number]
            assert isinstance(predicate, Comparison)
            return holds(predicate, user[predicate.column], at=NOW)
        case Performed(number):
            condition, of_events = plan.plan.conditions[number], plan.conditions[number]
            count = sum(
                age * SECOND < condition.window and (of_events.where is None or path == "a")
                for age, path in events
            )
            most = condition.maximum
            return condition.minimum <= count and (most is None or count <= most)
        case MemberOf():
            raise AssertionError(tree)


@given(RULES, st.lists(st.tuples(USERS, EVENTS), min_size=20, max_size=20))
def test_no_user_contradicts_a_warning(
    rule: str, users: list[tuple[dict[str, object], list[tuple[int, str]]]]
) -> None:
    compilation = compiled({"s.yml": SCHEMA, "a.yml": where(rule)})
    assert compilation.project is not None
    plan = compilation.project.plans["users"]
    tree = plan.plan.audiences[0].tree
    found = [one.code for one in compilation.diagnostics]
    for user, events in users:
        assert ("never" if truth(tree, plan, user, events) else "always") not in found


def test_users_of_an_impossible_audience_are_looked_through() -> None:
    audiences = (
        "audiences:\n"
        "  none: {parent_model: users, where: {all: ["
        "{property: plan, equals: a}, {property: plan, equals: b}]}}\n"
        "  also: {parent_model: users, where: {in_audience: none}}\n"
        "  rest: {parent_model: users, where: {not_in_audience: none}}\n"
    )
    found = messages(audiences)
    assert [one.split("'")[1] for one in found] == ["none", "also", "rest"]
    assert "everybody is always in" in found[2]


def test_seen_can_be_left() -> None:
    rule = "{any: [{did_not_perform: ordered, within: 5m}, {performed: ordered, within: 5m}]}"
    assert "everybody is always in" in messages(where(rule))[0]
    seen = f"audiences: {{a: {{parent_model: users, members: seen, where: {rule}}}}}"
    assert messages(seen) == []


def test_a_rule_too_large_to_search_is_passed_over() -> None:
    leaves = ", ".join(f"{{performed: viewed, within: {i + 1}s}}" for i in range(300))
    rule = f"{{all: [{leaves}, {{property: vip, is: true}}, {{not: {{property: vip, is: true}}}}]}}"
    assert messages(where(rule)) == []
    plan = plan_of(where(rule))
    assert len(plan.conditions) == 300
