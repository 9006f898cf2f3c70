"""What the documents show compiles, and an editor with the JSON Schema agrees with the compiler."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from audience_dsl.diagnostics import Diagnostics
from audience_dsl.documents import read_document
from audience_dsl.examples import CONDITIONS, PROJECT
from audience_dsl.json_schema import json_schema
from audience_dsl.reference import reference
from audience_dsl.scalars import core_structure
from audience_dsl.variables import Variables
from connectors.destinations.registry import OPTIONS
from tests.dsl.projects import SCHEMA, compiled

SECRET = "whsec_" + "c2VjcmV0" * 4
ROOT = Path(__file__).parents[2]
SPECIFIED = sorted((Path(__file__).parent / "specified").glob("*.yml"))
VALIDATOR = Draft202012Validator(json_schema(OPTIONS))


def as_editors_read(text: str) -> object:
    """The values that a YAML 1.2 reader has, with variables as they are written."""
    found = Diagnostics({})
    node = read_document("x.yml", text, lambda value: Variables({}).replace("$" + value), found)
    assert not found.errors
    return core_structure(node) if node is not None else None


def accepted(text: str) -> bool:
    return VALIDATOR.is_valid(as_editors_read(text))


def test_the_examples_of_the_contract_compile() -> None:
    files = {path.name: path.read_text() for path in SPECIFIED}
    compilation = compiled(files, {"HOOK_SECRET": SECRET, "KAFKA": "k:9092"})
    assert [one.message for one in compilation.diagnostics] == []
    assert compilation.project is not None
    plan = compilation.project.plans["users"].plan
    assert [one.key for one in plan.conditions] == [
        "performed page_viewed where path equals /pricing at least 3 times within 10m",
        "did not perform order_completed within 30m",
    ]


@pytest.mark.parametrize("path", SPECIFIED, ids=lambda path: path.stem)
def test_an_editor_accepts_the_examples_of_the_contract(path: Path) -> None:
    assert list(VALIDATOR.iter_errors(as_editors_read(path.read_text()))) == []


def test_the_examples_of_the_reference_compile() -> None:
    block = "audiences:\n  b:\n    parent_model: readers\n    where:\n"
    block += textwrap.indent(CONDITIONS, "      ")
    compilation = compiled({"a.yml": PROJECT, "b.yml": block}, {"CRM_SECRET": SECRET})
    assert [one.to_text() for one in compilation.diagnostics] == []
    assert accepted(PROJECT)
    assert accepted(block)


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "language.md").read_text()
    assert written == reference(OPTIONS), "run: usher schema --reference > docs/language.md"


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema(OPTIONS))


def test_every_field_of_the_schema_has_a_description() -> None:
    def described(schema: object, path: str) -> None:
        if isinstance(schema, dict):
            if schema.get("type") == "object" or path == "":
                for name, value in schema.get("properties", {}).items():
                    assert value.get("description") or "const" in value, f"{path}.{name}"
            for name, value in schema.items():
                described(value, f"{path}.{name}")
        elif isinstance(schema, list):
            for value in schema:
                described(value, path)

    described(json_schema(OPTIONS), "")


BROKEN = {
    "an unknown section": "audience: {}",
    "an unknown key": "sources: {web: {type: file, pth: x}}",
    "an unknown type": "sources: {web: {type: fiel, path: x}}",
    "a bad key": "sources: {Bad Key: {type: file, path: x}}",
    "a bad choice": "sources: {web: {type: file, path: x, format: segmnt}}",
    "two places to read from": ("parent_models: {u: {from: {table: t, csv: c}, primary_key: id}}"),
    "no primary key": "parent_models: {u: {from: {table: t}}}",
    "no window": "audiences: {a: {parent_model: u, where: {performed: e}}}",
    "a window that is none": (
        "audiences: {a: {parent_model: u, where: {performed: e, within: 10 parsecs}}}"
    ),
    "two counts": (
        "audiences: {a: {parent_model: u, "
        "where: {performed: e, within: 1h, at_least: 1, at_most: 2}}}"
    ),
    "a count of zero": (
        "audiences: {a: {parent_model: u, where: {performed: e, within: 1h, at_least: 0}}}"
    ),
    "an aggregate": "audiences: {a: {parent_model: u, where: {performed: e, within: 1h, sum: n}}}",
    "two operators": "audiences: {a: {parent_model: u, where: {property: p, equals: 1, in: [2]}}}",
    "no operator": "audiences: {a: {parent_model: u, where: {property: p}}}",
    "a trait": "audiences: {a: {parent_model: u, where: {trait: p, equals: 1}}}",
    "two conditions": (
        "audiences: {a: {parent_model: u, where: {in_audience: b, not_in_audience: c}}}"
    ),
    "an empty group": "audiences: {a: {parent_model: u, where: {all: []}}}",
    "a bare list": "audiences: {a: {parent_model: u, where: [{in_audience: b}]}}",
    "a bad transition": "syncs: {s: {audience: a, destination: d, on: [entred]}}",
    "a nested mistake": (
        "audiences: {a: {parent_model: u, where: {any: [{not: {performed: e, within: 1}}]}}}"
    ),
    "a bad filter": (
        "audiences: {a: {parent_model: u, "
        "where: {performed: e, within: 1h, where: {path: {contians: x}}}}}"
    ),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_an_editor_and_the_compiler_reject_what_is_broken(text: str) -> None:
    assert not accepted(text)
    assert compiled(text).project is None


LEGAL_CONDITIONS = [
    "{performed: viewed, within: 1h}",
    "{performed: viewed, within: 1 day, exactly: 0}",
    "{performed: viewed, within: 10 minutes, between: [2, 5], where: {path: /a}}",
    "{performed: viewed, within: 1h, where: [{path: /a}, {n: {at_least: 3}}]}",
    "{performed: viewed, within: 1h, where: {any: [{property: n, equals: 3}, {path: /b}]}}",
    "{performed: viewed, within: 1h, where: {not: {tags: {has_any: [a, b]}}}}",
    "{did_not_perform: viewed, within: 90s}",
    "{property: plan, in: [free, 3, true]}",
    "{property: joined, within_last: 30d}",
    "{property: joined, before: 2026-01-01}",
    "{property: vip, is: true}",
    "{property: plan, exists: false}",
    "{property: plan, contains: x, ignore_case: true}",
    "{property: ltv, between: [1, 2.5]}",
    "{none: [{property: vip, is: true}]}",
    "{property: tags, equals: [a, b]}",
]


@pytest.mark.parametrize("condition", LEGAL_CONDITIONS)
def test_an_editor_and_the_compiler_accept_what_is_legal(condition: str) -> None:
    text = f"audiences: {{a: {{parent_model: users, where: {condition}}}}}"
    assert accepted(text)
    assert [one.to_text() for one in compiled({"s.yml": SCHEMA, "a.yml": text}).diagnostics] == []
