"""Variables, columns of the warehouse, settings, syncs."""

from __future__ import annotations

import pytest

from audience_dsl import Kind, Severity, Unreachable, compile_project
from audience_dsl.definitions import Collection, ColumnType, Comparison, PullSchedule
from connectors.destinations.registry import OPTIONS
from tests.dsl.projects import SCHEMA, USERS_PROPERTIES, compiled, where

ARCHIVE = "destinations: {archive: {type: file, path: %s}}"


def options(text: str, environment: dict[str, str]) -> dict[str, object]:
    project = compiled(text, environment).project
    assert project is not None
    return dict(project.destinations["archive"].options)


@pytest.mark.parametrize(
    ("written", "environment", "expected"),
    [
        ("${S}", {"S": "top"}, "top"),
        ("pre-${S}-post", {"S": "top"}, "pre-top-post"),
        ("${S:-other}", {}, "other"),
        ("${S:-other}", {"S": ""}, "other"),
        ("${S:-}x", {}, "x"),
        ("${S:-a, b: [c] #d}", {}, "a, b: [c] #d"),
        ("$${S}", {"S": "top"}, "${S}"),
        ("${S}", {"S": "a: {b: [c]}"}, "a: {b: [c]}"),
        ("${S}${T}", {"S": "${T}", "T": "2"}, "${T}2"),
    ],
)
def test_variables(written: str, environment: dict[str, str], expected: str) -> None:
    text = ARCHIVE % written
    assert options(text, environment)["path"] == expected


def test_a_missing_variable_is_a_matter_of_the_environment() -> None:
    (one,) = compiled(ARCHIVE % "${SECRET}").diagnostics
    assert one.kind is Kind.ENVIRONMENT
    assert one.severity is Severity.ERROR
    assert one.message == "the environment variable SECRET is not set"


def test_the_value_of_a_variable_is_never_shown() -> None:
    text = (
        "sources: {web: {type: file, path: x, format: ${S}}}\n"
        "serving: {listen: ${S}}\n"
        "parent_models:\n"
        "  users: {from: {table: t}, primary_key: id, pull: {cron: ${S}}}\n"
        "  shops: {from: {table: t}, primary_key: id, pull: {cron: 0 0 * * *, timezone: ${S}}}\n"
        "  teams: {from: {table: t}, primary_key: id, properties: {a: number, b: string}}\n"
        "  people: {from: {csv: x}, primary_key: id}\n"
        "events: {e: {source: ${S}, type: ${S}, parent_model: teams, properties: {p: '${S}['}}}\n"
        "audiences:\n"
        "  a: {parent_model: teams, where: {performed: ${S}, within: ${S}}}\n"
        "  b: {parent_model: teams, where: {property: a, equals: ${S}}}\n"
        "  c: {parent_model: teams, where: {property: ${S}, equals: 1}}\n"
        '  d: {parent_model: teams, where: {property: b, matches: "(${S}"}}\n'
        "  e: {parent_model: teams, where: {in_audience: ${S}}, members: ${S}}\n"
        "warehouse: {type: duckdb, path: ${S}}\n"
    )
    compilation = compile_project(
        {"a.yml": text}, {"S": "canary"}, lambda *_: Unreachable("cannot open canary.db"), OPTIONS
    )
    shown = "\n".join(one.to_text() + one.to_json() for one in compilation.diagnostics)
    assert len(compilation.diagnostics) >= 12
    assert "cannot open ${S}.db" in shown
    assert "canary" not in shown


def test_a_variable_in_a_key_is_left_alone() -> None:
    (one,) = compiled("sources: {'${S}': {type: file, path: x}}", {"S": "web"}).diagnostics
    assert one.code == "bad-key"


def test_columns_come_from_the_warehouse_unless_they_are_declared() -> None:
    schema = SCHEMA.replace(USERS_PROPERTIES, "").replace(", properties: {size: number}", "")
    actual = {"user_id": ColumnType.STRING, "id": ColumnType.NUMBER, "plan": ColumnType.STRING}
    files = {"s.yml": schema, "a.yml": where("{property: plan, equals: 5}")}
    project = compiled(files, columns=actual).project
    assert project is not None
    assert project.parent_models["users"].properties == actual
    assert project.plans["users"].predicates[0].operand == "5"

    files["a.yml"] = where("{property: plam, equals: 5}")
    (one,) = compiled(files, columns=actual).diagnostics
    assert (one.message, one.help) == ("unknown property 'plam' of users", "did you mean 'plan'?")

    files["a.yml"] = where("{property: plan, greater_than: 5}")
    (one,) = compiled(files, columns=actual).diagnostics
    assert one.message == "'greater_than' does not fit 'plan', which is a string"


def test_a_declared_column_that_the_warehouse_lacks_is_a_mistake() -> None:
    actual = {"user_id": ColumnType.STRING, "plam": ColumnType.STRING, "ltv": ColumnType.NUMBER}
    found = compiled(SCHEMA, columns=actual).diagnostics
    assert ("unknown column 'plan'", "did you mean 'plam'?") in [(d.message, d.help) for d in found]


def test_without_warehouse_undeclared_columns_are_taken_with_a_warning() -> None:
    schema = SCHEMA.replace(USERS_PROPERTIES, "")
    compilation = compiled({"s.yml": schema, "a.yml": where("{property: plan, equals: 5}")})
    assert compilation.project is not None
    (warning,) = compilation.diagnostics
    assert warning.severity is Severity.WARNING
    (predicate,) = compilation.project.plans["users"].predicates
    assert isinstance(predicate, Comparison)
    assert (predicate.type, predicate.operand) == (None, 5)


def test_a_table_needs_a_warehouse() -> None:
    (one,) = compiled(
        "parent_models: {users: {from: {table: t}, primary_key: id, properties: {a: array}}}"
    ).diagnostics
    assert "no warehouse is defined" in one.message


@pytest.mark.parametrize(
    ("pull", "expected"),
    [
        ("", PullSchedule(every=86_400_000_000)),
        (", pull: {every: 6h}", PullSchedule(every=21_600_000_000)),
        (', pull: {cron: "0 */2 * * *"}', PullSchedule(cron="0 */2 * * *")),
        (
            ', pull: {cron: "0 4 * * mon", timezone: Europe/Berlin}',
            PullSchedule(cron="0 4 * * mon", timezone="Europe/Berlin"),
        ),
    ],
)
def test_pull_schedules(pull: str, expected: PullSchedule) -> None:
    text = f"parent_models: {{u: {{from: {{csv: u.csv}}, primary_key: id{pull}}}}}"
    project = compiled(text, columns={"id": ColumnType.STRING}).project
    assert project is not None
    assert project.parent_models["u"].pull == expected


@pytest.mark.parametrize(
    "cron", ["R R * * *", "* * * * * *", "@daily", "0 0 31 2 *", "x", "61 * * * *"]
)
def test_cron_expressions_that_do_not_fire_as_written_are_refused(cron: str) -> None:
    text = (
        f'parent_models: {{u: {{from: {{csv: u.csv}}, primary_key: id, pull: {{cron: "{cron}"}}}}}}'
    )
    assert [one.code for one in compiled(text).diagnostics] == ["wrong-value"]


def test_options_that_are_texts_keep_those_that_look_like_numbers() -> None:
    text = (
        "warehouse: {type: postgres, host: 10, database: 007, port: 5432, user: 0123, "
        "password: '${P}'}"
    )
    project = compiled(text, {"P": "12345"}).project
    assert project is not None
    assert project.warehouse is not None
    assert project.warehouse.options == {
        "host": "10", "database": "007", "port": 5432, "user": "0123", "password": "12345",
    }  # fmt: skip


def test_syncs() -> None:
    text = where("{property: vip, is: true}") + "\n" + ARCHIVE % "canary.jsonl"
    text += (
        "\nsyncs:\n  s:\n    audience: a\n    destination: archive\n    on: [exited]\n"
        "    mapping: {userId: '{{ user_id }}', nested: {count: 3, flag: true, none: null}}\n"
    )
    project = compiled({"s.yml": SCHEMA, "a.yml": text}).project
    assert project is not None
    sync = project.syncs["s"]
    assert (sync.audience, sync.destination, sync.on) == ("a", "archive", ("exited",))
    assert sync.mapping == {
        "userId": "{{ user_id }}",
        "nested": {"count": 3, "flag": True, "none": None},
    }
    assert "canary" not in repr(project.destinations["archive"])  # options may be secrets


def test_what_a_sync_needs_of_the_snapshot_and_of_events() -> None:
    text = where("{property: vip, is: true}") + "\n" + ARCHIVE % "x"
    text += (
        "\nsyncs:\n  s: {audience: a, destination: archive, initial: hold,\n"
        "    only_if: {not: {vip: {exists: false}}},\n"
        "    mapping: {a: '{{ properties.plan | lower }} {{ properties.plan }}'}}\n"
        "  t: {audience: a, destination: archive, initial_rate: 20}\n"
    )
    project = compiled({"s.yml": SCHEMA, "a.yml": text}).project
    assert project is not None
    held, sent = project.syncs["s"], project.syncs["t"]
    assert held.properties == ("plan", "vip")
    assert (held.sends_initial, held.initial_rate) == (False, None)
    assert (sent.sends_initial, sent.initial_rate, sent.properties) == (True, 20, ())
    assert project.plans["users"].collections == (
        Collection("@syncs", "users", fields=("plan", "vip")),
    )


def test_an_empty_project_is_no_mistake() -> None:
    compilation = compiled({"a.yml": "", "b.yml": "# nothing\n", "c.yml": "audiences:\n"})
    assert compilation.diagnostics == ()
    assert compilation.project is not None
    assert compilation.project.plans == {}
