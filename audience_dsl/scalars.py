"""What a scalar means where no field declares its type: the core rules of YAML 1.2.

They apply to event properties without a type and to free-form options.  Quoted is text.  Plain
`true` and `false` are flags, integers and decimals are numbers, the rest is text: `no`, `on`,
`12:30:00`, `2026-03-01` and `1_000` are texts.
"""

from __future__ import annotations

import math
import re

from audience_dsl.documents import ListNode, MapNode, Node, Scalar

_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
_BASED = re.compile(r"0(?:o[0-7]{1,100}|x[0-9a-fA-F]{1,75})")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.text in _NULLS and not node.broken


def is_ambiguous(scalar: Scalar) -> bool:
    """Whether readers disagree: `0123` is 123 to some, 83 to others, and a text to people."""
    return scalar.plain and _LEADING_ZERO.fullmatch(scalar.written) is not None


def core_value(scalar: Scalar) -> str | int | float | bool:
    """The value by the core rules; a null is not considered.

    A variable's value is text: a password of digits is no number.
    """
    text = scalar.text
    if not scalar.plain or text != scalar.written:
        return text
    if text in _FLAGS:
        return _FLAGS[text]
    number = core_number(text)
    return text if number is None else number


def core_number(text: str) -> int | float | None:
    """The finite number that a text is by the core rules, exact if it is an integer."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _DECIMAL.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else None
    return None


def core_structure(node: Node) -> object:
    """The node as plain Python values, as any reader of YAML 1.2 would have them."""
    match node:
        case ListNode(items):
            return [core_structure(item) for item in items]
        case MapNode(entries):
            return {name: core_structure(value) for name, (_, value) in entries.items()}
        case _ if is_ambiguous(node):
            return node.text
        case _:
            return None if is_null(node) else core_value(node)
