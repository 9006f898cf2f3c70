"""The language reference as a page of Markdown, from the grammar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audience_dsl.condition_grammar import CONDITION, FILTER
from audience_dsl.definitions import ColumnType
from audience_dsl.diagnostics import listed
from audience_dsl.documents import DEPTH_MOST, NODES_MOST
from audience_dsl.durations import format_duration
from audience_dsl.examples import CONDITIONS, PROJECT
from audience_dsl.grammar import COLUMN_TYPE, grammar
from audience_dsl.operators import OPERATORS
from audience_dsl.shapes import (
    Anything,
    Choice,
    Duration,
    Either,
    Field,
    Flag,
    Forms,
    Integer,
    ListOf,
    MapOf,
    Name,
    Operand,
    Record,
    Reference,
    Shape,
    Tagged,
    Text,
)

_OPENING = """\
# The language

This page is generated from the grammar that the compiler uses: `usher schema --reference`.

A project is a folder. Every `*.yml` and `*.yaml` file below it is read, hidden folders excepted.
How sections are spread over files does not matter; a key that is defined twice is a mistake.

Scalars are read by the type that their field declares, so `no`, `12:30:00`, `0123` and
`2026-03-01` never turn into something else. Anchors, aliases, tags, merge keys and several
documents in a file are not allowed.

`${NAME}` in a value is replaced by the environment variable of that name, `${NAME:-text}` by the
text if the variable is unset or empty. `${file:PATH}` is replaced by the content of a file, without
the line break at its end; a relative path begins at the project's folder. `$${` stands for a
literal `${`. Keys are left alone.

A duration is a whole number and a unit: `90s`, `10m`, `24h`, `7d`, `2w`, or in words, as in
`10 minutes` and `1 day`.
"""

_LIMITS = f"""\
## Limits

| what | limit |
| --- | --- |
| size of a file | 1 MB |
| values in a file | {NODES_MOST:,} |
| levels of nesting | {DEPTH_MOST} |
| window of an event condition | 24 hours |
| count that is compared with | 10,000 |
"""

_ANALYSIS = """\
Two warnings are about rules that are legal but cannot be meant: one that nobody can ever meet, as
its conditions exclude each other, and one that everybody always meets. They are given only where
that is certain.
"""


def reference(destinations: Mapping[str, Record]) -> str:
    """The whole page; it ends with a newline."""
    return "\n".join(_page(destinations))


def _page(destinations: Mapping[str, Record]) -> Iterator[str]:
    yield _OPENING
    yield f"A whole project:\n\n```yaml\n{PROJECT}```\n"
    for section in grammar(destinations).values():
        yield f"## `{section.name}`\n"
        yield section.doc + "\n"
        yield from _described(section.shape)
    yield from _conditions()
    yield from _operators()
    yield _LIMITS


def _described(shape: Shape) -> Iterator[str]:
    match shape:
        case MapOf(key, value) if isinstance(value, Record | Tagged):
            yield f"A mapping; each key is {key.what}.\n"
            yield from _described(value)
        case Record():
            yield from _table(shape)
        case Tagged(types=types):
            told: list[Field | Record] = []
            for name, record in types.items():
                yield f"`type: {name}`: {record.doc}\n"
                yield from _table(record, told)
        case _:
            yield f"{_what(shape).capitalize()}.\n"


def _table(record: Record, told: list[Field | Record] | None = None) -> Iterator[str]:
    """The keys of a record; what several records share and was `told` already is only named."""
    told = [] if told is None else told
    rows = [one for one in record.fields if not one.refused and not _is_operator(one)]
    again = [f"`{one.name}`" for one in rows if _is_among(one, told)]
    rows = [one for one in rows if not _is_among(one, told)]
    told += rows
    if rows:
        yield "| key | value | meaning |\n| --- | --- | --- |"
        for one in rows:
            yield f"| `{one.name}` | {_cell(_what(one.shape))} | {_meaning(one)} |"
        yield ""
    if again:
        yield f"Besides, as above: {listed(again, 'and')}.\n"
    for one in rows:
        for which, inner in _inner_records(one.shape):
            if not _is_among(inner, told):
                told.append(inner)
                yield f"The keys of `{one.name}`{which}:\n"
                yield from _table(inner, told)


def _is_among(one: Field | Record, told: list[Field | Record]) -> bool:
    """Whether it is the very same: others may look like it and belong to something else."""
    return any(one is other for other in told)


def _is_operator(one: Field) -> bool:
    return isinstance(one.shape, Operand) or one.name == "ignore_case"


def _inner_records(shape: Shape) -> Iterator[tuple[str, Record]]:
    """The records inside, each with the words for which of several it is."""
    match shape:
        case Record():
            yield "", shape
        case MapOf(value=Either(long=long)) | Either(long=long):
            yield " in long", long
        case ListOf(item=Record() as item):
            yield ", each item", item
        case Tagged(types=types):
            yield from ((f" with `type: {name}`", record) for name, record in types.items())
        case _:
            pass


def _meaning(one: Field) -> str:
    words = ""
    if isinstance(one.shape, ListOf) and isinstance(one.shape.item, Choice):
        words = _words(one.shape.item)
    elif isinstance(one.shape, Choice) and one.shape is not COLUMN_TYPE:
        words = _words(one.shape)
    state = " Required." if one.required else f" Default: {one.default}." if one.default else ""
    return _cell(f"{one.doc}{words}{state}")


def _words(choice: Choice) -> str:
    if all(
        not meaning or word in meaning.lower().replace(" ", "")
        for word, meaning in choice.words.items()
    ):
        return ""
    return " " + "; ".join(f"`{word}`: {what}" for word, what in choice.words.items()) + "."


def _what(shape: Shape) -> str:
    match shape:
        case Text(what):
            return what
        case Choice(words):
            return listed([f"`{word}`" for word in words])
        case Integer(least, most):
            return f"a whole number from {least} to {most:,}"
        case Flag():
            return "`true` or `false`"
        case Duration(most):
            return "a duration" + (f", at most {format_duration(most)}" if most else "")
        case Name(section):
            return f"a key of `{section}`"
        case Operand(operator):
            return operator.operand.value
        case Anything():
            return "anything"
        case ListOf(item, length):
            return f"a list{f' of {length}' if length else ''}, each item {_what(item)}"
        case MapOf(key, value):
            return f"a mapping from {key.what} to {_what(value)}"
        case Forms(title):
            return f"a {title}"
        case Tagged() | Record():
            return "a mapping"
        case Either(short):
            return f"{_what(short)}, or a mapping"
        case Reference(name):
            return f"a [{name}](#{name}s)"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _conditions() -> Iterator[str]:
    yield "## Conditions\n"
    yield "A condition is a mapping with one of the following keys.\n"
    yield f"```yaml\n{CONDITIONS}```\n"
    yield from _forms(CONDITION)
    yield _ANALYSIS
    yield "## Filters\n"
    yield "The `where` of an event condition says which of the events count. It is one of\n"
    yield (
        "- a mapping `property: value`, or `property: {operator: value, ...}`; all must hold,\n"
        "- a list of filters, all of which must hold,\n"
        "- one of the following forms.\n"
    )
    yield from _forms(FILTER)


def _forms(forms: Forms) -> Iterator[str]:
    for name, record in forms.forms.items():
        yield f"### `{name}`{' in a filter' if forms is FILTER else ''}\n"
        if record.refused:
            yield f"Reserved: {record.refused}. Instead, {record.instead}.\n"
            continue
        yield f"{record.doc}\n"
        if len(record.fields) == 1:
            yield f"`{name}:` {_what(record.fields[0].shape)}.\n"
            continue
        yield from _table(record)
        if name == "property":
            yield "Besides, exactly one [operator](#operators), and perhaps `ignore_case`.\n"
        refused = [one for one in record.fields if one.refused]
        if refused:
            names = listed([f"`{one.name}`" for one in refused], "and")
            yield f"Reserved: {names}, as {refused[0].refused}. Instead, {refused[0].instead}.\n"


def _operators() -> Iterator[str]:
    yield "## Operators\n"
    yield (
        "A comparison with a missing value is false, also with a negative operator; only\n"
        "`exists: false` is true. Null, NaN and what cannot be read as the column's type are\n"
        "missing. The groups `not` and `none` are complements:\n"
        "`not: {property: plan, equals: free}` is true without a plan.\n"
    )
    yield "| operator | types | operand | true if the value |\n| --- | --- | --- | --- |"
    for one in OPERATORS.values():
        types = "any" if len(one.types) == len(ColumnType) else ", ".join(
            kind for kind in ColumnType if kind in one.types
        )  # fmt: skip
        yield f"| `{one.name}` | {types} | {one.operand.value} | {one.meaning} |"
    yield ""
    yield (
        "Texts compare by code point; `ignore_case: true` beside an operator on texts folds their\n"
        "case. `within_last` and `within_next` are relative to the event's own instant, on\n"
        "warehouse columns to the instant at which the snapshot was taken.\n"
    )
    yield "| type | what is read as such |\n| --- | --- |"
    yield from (f"| `{name}` | {what} |" for name, what in COLUMN_TYPE.words.items())
    yield ""
    yield (
        "An event property without a type has the JSON type of its value, and an operand that is\n"
        "plain is a number or flag if it looks like one; quoted or from a variable, it is text.\n"
        "A value of another type than the operand's compares as missing.\n"
    )
