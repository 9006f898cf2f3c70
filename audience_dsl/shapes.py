"""The vocabulary in which the grammar is written: which shapes a YAML value can have.

A shape says nothing about how it is read, described or published.  Three modules match on these
few classes: `reading` turns nodes into values and mistakes, `json_schema` writes the schema for
editors, `reference` writes the page for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from audience_dsl.operators import Operator


@dataclass(frozen=True, slots=True)
class Text:
    """Any text; `pattern` must match all of it.  `what` names it: "a path such as context.ip".

    A `secret` one must come from the environment.
    """

    what: str = "a text"
    pattern: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these words, each with what it means."""

    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number in a range; beyond it, `too_low` or `too_high` says what that would mean."""

    least: int
    most: int
    too_low: str = ""
    too_high: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """`true` or `false`."""


@dataclass(frozen=True, slots=True)
class Duration:
    """A number and a unit; `most` in microseconds."""

    most: int | None = None
    too_high: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """The key of an entry of that section."""

    section: str


@dataclass(frozen=True, slots=True)
class Operand:
    """What stands to the right of an operator; it is read once the column's type is known."""

    operator: Operator


@dataclass(frozen=True, slots=True)
class Anything:
    """Any structure, read by the core rules of YAML."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of at least one item; of exactly `length` items if that is given."""

    item: Shape
    length: int | None = None


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping whose keys are the user's own."""

    key: Text
    value: Shape


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a record.

    `default` is prose for the reference.  `refused` is the reason why the key is reserved but not
    allowed yet, `instead` the nearest legal form.  `synonyms` are other tools' words for it.
    """

    name: str
    shape: Shape
    doc: str
    required: bool = False
    default: str = ""
    refused: str = ""
    instead: str = ""
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OneOf:
    """Of these fields at most one may be given, or exactly one if it is required."""

    names: tuple[str, ...]
    what: str
    required: bool = False
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a value that has the right shape.

    `path` leads from the record to the culprit, by keys and indexes.  The texts name no values:
    they may come from the environment.
    """

    path: tuple[str | int, ...]
    what: str
    advice: str = ""


Check = Callable[[Mapping[str, object]], Iterable[Flaw]]


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys.  An `open` one takes other keys as well, as they are.

    `check` is asked about the plain values of one whose shape is right.
    """

    title: str
    doc: str
    fields: tuple[Field, ...]
    one_of: tuple[OneOf, ...] = ()
    open: bool = False
    refused: str = ""
    instead: str = ""
    check: Check | None = None
    by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {one.name: one for one in self.fields})


@dataclass(frozen=True, slots=True)
class Forms:
    """A mapping that takes one of several forms; the key that names a form is in no other.

    `otherwise` is the form without such a key, if there is one; `bare` is what a list stands for.
    """

    title: str
    forms: Mapping[str, Record]
    otherwise: MapOf | None = None
    bare: ListOf | None = None


@dataclass(frozen=True, slots=True)
class Tagged:
    """A record whose other keys depend on its `type`."""

    title: str
    types: Mapping[str, Record]


@dataclass(frozen=True, slots=True)
class Either:
    """A short form (no mapping) or a long one (a mapping)."""

    short: Shape
    long: Record


@dataclass(frozen=True, slots=True)
class Reference:
    """A shape that contains itself, by the name that the grammar gives it."""

    name: str


Shape = (
    Text | Choice | Integer | Flag | Duration | Name | Operand | Anything | ListOf | MapOf
    | Record | Forms | Tagged | Either | Reference
)  # fmt: skip
