"""Whatever stands in the files: a project or diagnostics, soon, and never a traceback."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl import Compilation, Severity
from tests.dsl.projects import SCHEMA, compiled, where

SEEDS = [SCHEMA, *(path.read_text() for path in sorted(Path(__file__).parent.rglob("*.yml")))]
FRAGMENTS = [
    "[", "]", "{", "}", ": ", "- ", "\n", "\n  ", "\t", "&a", "*a", "!!x", "<<: ", "---\n", "|",
    ">", "'", '"', "#", "${", "${X}", "${X:-", "}", "null", "~", "true", "0123", "-1", "1e999",
    "\x00", "\x1b", "\ud800", "\ufeff", "\u2028", "\x85", "é", "日本", "?", "all", "not", "where",
    "within", "1h", "performed", "property", "equals", "audiences", "events", "\\", "\r", "%",
]  # fmt: skip


def check(compilation: Compilation, files: dict[str, str]) -> None:
    """A project or an error; every place exists."""
    errors = [one for one in compilation.diagnostics if one.severity is Severity.ERROR]
    assert (compilation.project is None) == bool(errors)
    for one in compilation.diagnostics:
        assert one.file in files
        assert one.message
        assert 1 <= one.line <= len(files[one.file]) + 1
        assert 1 <= one.column < one.end_column
        assert one.to_text()
        assert one.to_json().encode()


@given(st.text())
def test_any_text(text: str) -> None:
    check(compiled(text), {"project.yml": text})


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40))
def test_any_text_of_yaml_fragments(parts: list[str]) -> None:
    text = "".join(parts)
    check(compiled(text, {"X": "1"}), {"project.yml": text})


@given(st.sampled_from(SEEDS), st.data())
def test_any_small_change_of_a_definition(seed: str, data: st.DataObject) -> None:
    text = seed
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 20))
        text = text[:start] + data.draw(st.sampled_from(FRAGMENTS)) + text[start + length :]
    files = {"schema.yml": SCHEMA, "x.yml": text} if seed is not SCHEMA else {"x.yml": text}
    check(compiled(files, {"X": "1"}), files)


@given(
    st.recursive(
        st.sampled_from(["viewed", "1h", "3", "null", "true", "plan", "free", "[]", "{}", "''"]),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
            | st.dictionaries(
                st.sampled_from(
                    ["performed", "did_not_perform", "within", "where", "at_least", "between",
                     "property", "equals", "in", "matches", "ignore_case", "all", "any", "none",
                     "not", "in_audience", "path", "n", "exists", "sum", "trait"]
                ),
                inner,
                max_size=4,
            ).map(lambda pairs: "{" + ", ".join(f"{k}: {v}" for k, v in pairs.items()) + "}")
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_any_structure_as_a_condition(condition: str) -> None:
    files = {"s.yml": SCHEMA, "a.yml": where(condition)}
    check(compiled(files), files)


HEAD = SCHEMA + "audiences:\n"
LARGE = {
    "brackets": "[" * 1_000_000,
    "dashes": "- " * 500_000,
    "braces": "a: " + "{" * 900_000,
    "questions": "? " * 500_000,
    "quotes": '"' * 1_000_000,
    "escapes": '"' + "\\" * 999_000,
    "lines": "\n" * 999_999 + "[",
    "scalars": "- a\n" * 250_000,
    "empty lists": "a: [" + "[]," * 300_000,
    "keys": "".join(f"k{i}:\n" for i in range(99_000)),
    "equal keys": "a:\n" * 90_000,
    "aliases": "a: &a x\nb: [" + "*a, " * 200_000 + "]",
    "billion laughs": "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    ),
    "variables": "project: " + "${A:-" * 150_000,
    "closed variables": "project: x" + "${A}" * 200_000,
    "a long name": HEAD + "  a: {parent_model: users, where: {performed: " + "x" * 900_000 + "}}",
    "deep groups": HEAD + "  a: {parent_model: users, where: " + "{not: " * 100_000,
    "wrong names": HEAD + "".join(
        f"  a{i}: {{parent_model: users, where: {{in_audience: b{i}}}}}\n" for i in range(9_000)
    ),
    "wrong columns": SCHEMA.replace(
        "plan: string", ", ".join(f"c{i}: number" for i in range(20_000))
    ) + "audiences: {a: {parent_model: users, where: {all: [" + ",".join(
        f"{{property: d{i}, equals: 1}}" for i in range(3_000)
    ) + "]}}}",
    "a ring of audiences": HEAD + "".join(
        f"  a{i}: {{parent_model: users, where: {{in_audience: a{(i + 1) % 9_000}}}}}\n"
        for i in range(9_000)
    ),
    "doubling references": HEAD
    + "  a0: {parent_model: users, where: {property: vip, is: true}}\n"
    + "".join(
        f"  a{i}: {{parent_model: users, where: "
        f"{{all: [{{in_audience: a{i - 1}}}, {{in_audience: a{i - 1}}}]}}}}\n"
        for i in range(1, 400)
    ),
    "hard to satisfy": HEAD + "  a: {parent_model: users, where: {all: [" + ",".join(
        f"{{any: [{{property: plan, equals: p{i}}}, {{property: ltv, equals: {i}}}]}}"
        for i in range(60)
    ) + "]}}",
    "a large pattern": HEAD
    + "  a: {parent_model: users, where: {property: plan, matches: '((a{1000}){1000}){1000}'}}",
}  # fmt: skip


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_a_hostile_file_costs_no_more_than_a_second(text: str) -> None:
    spent = []
    gc.collect()
    gc.freeze()  # what other tests have left is not the compiler's to look through
    for _ in range(3):  # a busy machine may take twice its time once
        start = time.process_time()
        compilation = compiled(text)
        shown = "\n".join(one.to_text() for one in compilation.diagnostics)
        spent.append(time.process_time() - start)
        if spent[-1] < 1:
            break
    gc.unfreeze()
    check(compilation, {"project.yml": text})
    assert len(shown) < 2_000_000
    assert min(spent) < 1.5, "a second, and some for a busy machine"
