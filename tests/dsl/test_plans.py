"""What audiences compile to: conditions, trees, versions."""

from __future__ import annotations

import random
import time

import pytest

from audience_dsl.definitions import (
    AllOf,
    AnyOf,
    ColumnType,
    Comparison,
    EventCondition,
    Negation,
    ParentPlan,
)
from audience_dsl.instants import SECOND
from engine.plan import All, Any, MemberOf, Not, Performed, Predicate
from tests.dsl.projects import SCHEMA, compiled, messages, plan_of, where

MINUTE = 60 * SECOND


def keys(plan: ParentPlan) -> list[str]:
    return [one.key for one in plan.plan.conditions]


def version(audiences: str, schema: str = SCHEMA, key: str = "a") -> str:
    return {one.key: one.version for one in plan_of(audiences, schema).plan.audiences}[key]


@pytest.mark.parametrize(
    ("count", "minimum", "maximum", "words"),
    [
        ("", 1, None, "at least once"),
        ("at_least: 3", 3, None, "at least 3 times"),
        ("at_most: 3", 0, 3, "at most 3 times"),
        ("exactly: 3", 3, 3, "exactly 3 times"),
        ("more_than: 3", 4, None, "at least 4 times"),
        ("less_than: 3", 0, 2, "at most 2 times"),
        ("less_than: 2", 0, 1, "at most once"),
        ("between: [2, 5]", 2, 5, "2 to 5 times"),
        ("more_than: 9999", 10_000, None, "at least 10000 times"),
    ],
)
def test_counts(count: str, minimum: int, maximum: int | None, words: str) -> None:
    condition = "{performed: viewed, within: 10m" + (f", {count}" if count else "") + "}"
    (one,) = plan_of(where(condition)).plan.conditions
    assert (one.window, one.minimum, one.maximum) == (10 * MINUTE, minimum, maximum)
    assert one.key == f"performed viewed {words} within 10m"


@pytest.mark.parametrize("count", ["at_most: 0", "exactly: 0", "less_than: 1", "between: [0, 0]"])
def test_all_ways_to_say_none_are_one_condition(count: str) -> None:
    none = "{all: [{did_not_perform: viewed, within: 1h}, {performed: viewed, within: 60m, %s}]}"
    assert keys(plan_of(where(none % count))) == ["did not perform viewed within 1h"]


def test_conditions_are_shared_between_audiences_however_they_are_written() -> None:
    forms = [
        "where: {path: /a, n: {at_least: 3}}",
        "where: {n: {at_least: 3}, path: {equals: /a}}",
        "where: [{property: n, at_least: 3}, {path: /a}]",
        "where: {all: [{all: [{property: path, equals: /a}]}, {property: n, at_least: 3}]}",
    ]
    audiences = "audiences:\n" + "".join(
        f"  a{i}: {{parent_model: users, where: {{performed: viewed, within: 60s, {form}}}}}\n"
        for i, form in enumerate(forms)
    )
    assert keys(plan_of(audiences)) == [
        "performed viewed where n at least 3 and path equals /a at least once within 1m"
    ]


def test_numbers_and_texts_are_not_mixed_up() -> None:
    both = "{any: [{n: 5}, {n: '5'}, {n: true}, {n: 'true'}, {n: no}]}"
    plan = plan_of(where(f"{{performed: viewed, within: 1h, where: {both}}}"))
    (condition,) = plan.conditions
    assert isinstance(condition.where, AnyOf)
    operands = [one.operand for one in condition.where.of if isinstance(one, Comparison)]
    assert list(map(repr, operands)) == ["5", "'5'", "True", "'true'", "'no'"]


def test_filters() -> None:
    tree = "{none: [{path: {starts_with: /a, ends_with: b}}, {not: {title: x}}]}"
    plan = plan_of(where(f"{{performed: viewed, within: 1h, where: {tree}}}"))
    starts = Comparison("path", "starts_with", "/a")
    ends = Comparison("path", "ends_with", "b")
    title = Comparison("title", "equals", "x", ColumnType.STRING)
    parts = AnyOf((AllOf((starts, ends)), Negation(title)))
    assert plan.conditions == (EventCondition(("viewed",), Negation(parts)),)


def test_groups() -> None:
    groups = (
        "{all: [{any: [{performed: viewed, within: 1h}, {property: vip, is: true}]}, "
        "{none: [{in_audience: b}, {not_in_audience: b}]}, {not: {property: vip, is: true}}]}"
    )
    audiences = where(groups)[:-1] + ", b: {parent_model: users, where: {property: vip, is: true}}}"
    plan = plan_of(audiences)
    trees = {one.key: one.tree for one in plan.plan.audiences}
    assert trees["a"] == All(
        (
            Any((Performed(0), Predicate(0))),
            Not(Any((MemberOf("b"), Not(MemberOf("b"))))),
            Not(Predicate(0)),
        )
    )
    assert [one.key for one in plan.plan.audiences] == ["b", "a"]


def test_only_the_missing_is_true_of_somebody_unknown_to_the_warehouse() -> None:
    conditions = (
        "{any: [{property: plan, exists: false}, {property: plan, not_equals: free}, "
        "{property: ltv, less_than: 5}]}"
    )
    assert plan_of(where(conditions)).plan.absent == (True, False, False)


def test_operands_are_read_by_the_type_of_the_column() -> None:
    conditions = (
        "{all: [{property: plan, in: [no, 12:30:00, 0123, 2026-03-01, '5', 5]}, "
        "{property: joined, after: 2026-03-01T10:00:00+01:00}, "
        "{property: joined, within_last: 7d}, {property: ltv, equals: 0123}, "
        "{property: tags, has_any: [a, 5, true]}]}"
    )
    predicates = plan_of(where(conditions)).predicates
    assert predicates[0].operand == ("no", "12:30:00", "0123", "2026-03-01", "5", "5")
    assert predicates[1].operand == 1_772_355_600 * SECOND
    assert predicates[2].operand == 7 * 86_400 * SECOND
    assert predicates[3].operand == 123
    assert predicates[4].operand == ("a", 5, True)


def test_an_instant_as_operand_makes_an_untyped_property_a_timestamp() -> None:
    plan = plan_of(
        where(
            "{performed: viewed, within: 1h, where: {n: {at_least: 2026-03-01}, path: {after: 0}}}"
        )
    )
    where_ = plan.conditions[0].where
    assert isinstance(where_, AllOf)
    assert where_.of == (
        Comparison("n", "at_least", 1_772_323_200 * SECOND, ColumnType.TIMESTAMP),
        Comparison("path", "after", 0, ColumnType.TIMESTAMP),
    )


def test_seen_adds_a_condition_on_any_event_in_the_longest_window() -> None:
    plan = plan_of(
        "audiences: {a: {parent_model: users, members: seen, where: {any: ["
        "{did_not_perform: ordered, within: 2h}, {performed: viewed, within: 5m}]}}}"
    )
    assert keys(plan)[-1] == "performed any event at least once within 2h"
    assert plan.conditions[-1] == EventCondition(("ordered", "viewed"), implicit=True)
    assert plan.plan.audiences[0].tree == All((Any((Performed(0), Performed(1))), Performed(2)))


def test_the_version_is_that_of_the_meaning() -> None:
    plain = where(
        "{all: [{performed: viewed, within: 1h, where: {n: 3}}, {property: vip, is: true}]}"
    )
    first = version(plain)
    assert len(first) == 12
    assert int(first, 16) >= 0
    swapped = where(
        "{all: [{property: vip, is: true}, "
        "{performed: viewed, within: 60m, where: {n: {equals: 3}}}]}"
    )
    assert version(swapped) == first
    named = plain.replace("{parent_model", "{name: X, description: Y, parent_model")
    assert version(named) == first
    renamed = SCHEMA.replace("      n: properties.n", "      m: properties.n")
    assert version(plain.replace("{n: 3}", "{m: 3}"), renamed) == first

    assert version(plain.replace("1h", "2h")) != first
    assert version(plain.replace("n: 3", "n: 4")) != first
    assert version(plain, SCHEMA.replace("properties.n", "properties.m")) != first
    assert version(plain, SCHEMA.replace("type: page", "type: screen")) != first
    assert version(plain, SCHEMA.replace("table: users", "table: members")) != first


def test_the_version_changes_with_the_audiences_that_are_referred_to() -> None:
    two = (
        "audiences: {a: {parent_model: users, where: {not_in_audience: b}}, "
        "b: {parent_model: users, where: {property: ltv, at_least: 5}}}"
    )
    assert version(two) != version(two.replace("5", "6"))


def test_plans_do_not_depend_on_how_files_are_split() -> None:
    a = "  a: {parent_model: users, where: {performed: viewed, within: 1h}}\n"
    b = "  b: {parent_model: users, where: {in_audience: a}}\n"
    one = compiled({"s.yml": SCHEMA, "x.yml": "audiences:\n" + a + b}).project
    two = compiled(
        {"0.yml": "audiences:\n" + b, "z.yml": "audiences:\n" + a, "s.yml": SCHEMA}
    ).project
    assert one is not None
    assert two is not None
    assert one.plans["users"].plan == two.plans["users"].plan


@pytest.mark.parametrize("levels", [1, 30])
def test_groups_nest(levels: int) -> None:
    condition = "{not: {all: [" * levels + "{property: vip, is: true}" + "]}}" * levels
    audience = plan_of(where(condition)).plan.audiences[0]
    tree, depth = audience.tree, 0
    while not isinstance(tree, Predicate):
        depth += isinstance(tree, Not)
        assert isinstance(tree, Not | All)
        tree = tree.of if isinstance(tree, Not) else tree.of[0]
    assert depth == levels


def test_a_thousand_audiences_compile_in_seconds() -> None:
    draw = random.Random(7)
    lines = ["audiences:"]
    for i in range(1_000):
        lines += [
            f"  a{i}:",
            "    parent_model: users",
            "    where:",
            "      all:",
            f"        - {{performed: viewed, where: {{path: /p{i}}}, at_least: 2, within: 5m}}",
            f"        - {{did_not_perform: ordered, within: {i + 1}s}}",
            f"        - {{performed: viewed, where: {{amount: {{at_least: {i}}}}}, within: 1h}}",
            f"        - {{property: ltv, at_least: {draw.randrange(100)}}}",
        ]
        if i > 9:
            lines.append(f"        - {{not_in_audience: a{i - 10}}}")
    start = time.process_time()
    plan = plan_of("\n".join(lines))
    assert len(plan.conditions) == 3_000
    assert time.process_time() - start < 5


def test_a_condition_that_cannot_be_told_from_an_aliased_text_is_quoted() -> None:
    odd = SCHEMA.replace("path: properties.path", '"path equals x and n": properties.path')
    plan = plan_of(
        where('{performed: viewed, within: 1h, where: {"path equals x and n": {equals: a b}}}'), odd
    )
    assert keys(plan) == [
        'performed viewed where "path equals x and n" equals "a b" at least once within 1h'
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "{all: [{perfomed: viewed, within: 1h}, {property: vip, is: true}]}",
        "{all: [{performed: viewed, within: 1x}, {property: vip, is: true}]}",
        "{any: [{performed: viewed, within: 1h, where: [{path: /a}, {pth: /b}]}]}",
        "{performed: viewed, between: [1, x], within: 1h}",
        "{performed: viewed, wihtin: 1h}",
        "{property: ltv, between: [x, 3]}",
        "{property: plan, in: [a, null]}",
        "{in_audience: b}",
    ],
)
@pytest.mark.parametrize("members", ["all", "seen"])
def test_one_mistake_makes_one_message(condition: str, members: str) -> None:
    text = f"audiences: {{a: {{parent_model: users, members: {members}, where: {condition}}}}}"
    assert len(messages(text)) == 1


def test_an_always_true_or_impossible_rule_is_only_a_warning() -> None:
    text = where("{all: [{property: vip, is: true}, {not: {property: vip, is: true}}]}")
    assert plan_of(text).plan.audiences
    assert "nobody can ever be in audience 'a'" in messages(text)[0]
