"""Warehouse predicates as DuckDB SQL: the same meaning as `operators.holds`, for whole columns.

The columns are those of a snapshot's attributes, which hold every value as its declared type reads
it: texts, numbers without NaN, booleans, timestamps in UTC, and arrays as lists or as the text of
a JSON array.  What could not be read is NULL there.  An expression never is: where its column is
NULL it is false, except for `exists: false`.

Three places need care, because SQL's own answer is another one:

- *Ignoring case* means Unicode case folding, and DuckDB knows only lower case.  The two differ in
  some 300 characters (`ß` folds to `ss`), which are written into the expression.
- *Numbers* compare with whole numbers exactly, beyond 2^53 too, and with fractions as doubles.
  One mixed list would turn the whole column into doubles, hence two lists.
- *Arrays* compare by the JSON form of their elements, so that 1 equals 1.0 but not "1" or `true`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import Any

from audience_dsl.definitions import AllOf, AnyOf, ColumnType, Comparison, Filter, Negation
from audience_dsl.operators import OPERATORS

# A whole number beyond it fits no DECIMAL of DuckDB; no column holds such numbers exactly.
_LARGEST_EXACT = 10**38
_LARGEST_BIGINT = 2**63


def predicate_sql(comparison: Comparison, at: int) -> str:
    """A Boolean expression over the quoted column, never NULL.

    Args:
        comparison: One on a parent model's property, whose type is known.
        at: The instant at which the snapshot was taken, microseconds since 1970 UTC.

    Raises:
        ValueError: the comparison has no type.
    """
    if comparison.type is None:
        raise ValueError(f"the type of property {comparison.column!r} is not known")
    column = quoted_name(comparison.column)
    if comparison.operator == "exists":
        return f"({column} IS {'NOT ' if comparison.operand else ''}NULL)"
    negated = OPERATORS[comparison.operator].negates
    name = negated or comparison.operator
    match comparison.type:
        case ColumnType.STRING:
            test = _text_test(name, column, comparison.operand, comparison.ignore_case)
        case ColumnType.NUMBER:
            test = _number_test(name, column, comparison.operand)
        case ColumnType.TIMESTAMP:
            test = _timestamp_test(name, column, comparison.operand, at)
        case ColumnType.BOOLEAN:
            operands = comparison.operand if name == "in" else (comparison.operand,)
            test = _is_one_of(column, [str(bool(one)) for one in _several(operands)])
        case ColumnType.ARRAY:
            test = _array_test(name, column, comparison.operand)
    return f"coalesce({'NOT ' if negated else ''}({test}), false)"


def filter_sql(where: Filter, at: int) -> str:
    """The same of a whole filter; never NULL either, so that groups are Boolean."""
    match where:
        case AllOf(of):
            return f"({' AND '.join(filter_sql(one, at) for one in of)})"
        case AnyOf(of):
            return f"({' OR '.join(filter_sql(one, at) for one in of)})"
        case Negation(of=inner):
            return f"NOT {filter_sql(inner, at)}"
        case Comparison():
            return predicate_sql(where, at)


def quoted_name(name: str) -> str:
    """An identifier, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def quoted_text(text: str) -> str:
    """A text literal; DuckDB has no escape but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _several(operand: Any) -> tuple[Any, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _is_one_of(subject: str, literals: Iterable[str]) -> str:
    listed = ", ".join(dict.fromkeys(literals))
    return f"{subject} IN ({listed})" if listed else f"{subject} <> {subject}"


def _text_test(name: str, column: str, operand: Any, ignore_case: bool) -> str:
    if name == "matches":
        pattern = f"(?i){operand}" if ignore_case else operand
        return f"regexp_matches({column}, {quoted_text(pattern)})"
    texts = _several(operand)
    if ignore_case:
        column, texts = _folded(column), tuple(text.casefold() for text in texts)
    literals = [quoted_text(text) for text in texts]
    match name:
        case "equals" | "in":
            return _is_one_of(column, literals)
        case "contains" | "starts_with" | "ends_with":
            return f"{name}({column}, {literals[0]})"
    raise ValueError(f"operator {name!r} does not fit a string")


def _folded(column: str) -> str:
    """Case folding: lower case, and for the few texts with such characters the rest of the way."""
    special, (sources, targets), expansions = _beyond_lower_case()
    folded = f"lower(replace({column}, {quoted_text(_DOTTED)}, {quoted_text(_DOTTED.casefold())}))"
    folded = f"translate({folded}, {quoted_text(sources)}, {quoted_text(targets)})"
    for source, target in expansions:
        folded = f"replace({folded}, {quoted_text(source)}, {quoted_text(target)})"
    return (
        f"CASE WHEN regexp_matches({column}, {quoted_text(f'[{special}]')}) THEN {folded} "
        f"ELSE lower({column}) END"
    )


# The one letter whose lower case DuckDB and Python see differently: here it has two code points.
_DOTTED = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}"


@cache
def _beyond_lower_case() -> tuple[str, tuple[str, str], tuple[tuple[str, str], ...]]:
    """Characters whose folding is not their lower case, and what lower case leaves to do.

    That is: code points to be replaced by one other, all in one text and the others in a second;
    and those to be replaced by several.
    """
    special = _DOTTED
    singles: list[tuple[str, str]] = []
    expansions: list[tuple[str, str]] = []
    for character in map(chr, range(0x110000)):
        folded, lower = character.casefold(), character.lower()
        if folded != lower:
            special += character
            if lower == character:
                (singles if len(folded) == 1 else expansions).append((character, folded))
    sources, targets = zip(*singles, strict=True)
    return special, ("".join(sources), "".join(targets)), tuple(expansions)


_COMPARISONS = {
    "greater_than": ">",
    "at_least": ">=",
    "less_than": "<",
    "at_most": "<=",
    "before": "<",
    "after": ">",
}


def _number_test(name: str, column: str, operand: Any) -> str:
    match name:
        case "equals" | "in":
            literals = [_number(one) for one in _several(operand)]
            whole = [one for one in literals if not one.startswith("CAST")]
            others = [one for one in literals if one.startswith("CAST")]
            tests = [_is_one_of(column, some) for some in (whole, others) if some]
            return " OR ".join(tests) or _is_one_of(column, [])
        case "between":
            return f"{column} >= {_number(operand[0])} AND {column} <= {_number(operand[1])}"
    return f"{column} {_COMPARISONS[name]} {_number(operand)}"


def _number(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        if abs(value) < _LARGEST_EXACT:
            return str(value)
        try:
            value = float(value)
        except OverflowError:
            value = math.copysign(math.inf, value)
    return f"CAST({quoted_text(repr(value))} AS DOUBLE)"


def _timestamp_test(name: str, column: str, operand: Any, at: int) -> str:
    instant = f"epoch_us({column})"
    match name:
        case "within_last":
            return f"{instant} > {at - operand} AND {instant} <= {at}"
        case "within_next":
            return f"{instant} >= {at} AND {instant} < {at + operand}"
    return _number_test(name, instant, operand)


def _array_test(name: str, column: str, operand: Any) -> str:
    keys = _element_keys(column)
    match name:
        case "equals":
            return f"{keys} = {_operand_keys(operand)}"
        case "in":
            return " OR ".join(f"{keys} = {_operand_keys(one)}" for one in operand) or "false"
        case "has_any" | "has_all":
            return f"list_{name}({keys}, {_operand_keys(operand)})"
    raise ValueError(f"operator {name!r} does not fit an array")


def _element_keys(column: str) -> str:
    """The elements as texts that are equal exactly for equal JSON values."""
    array = (
        f"CASE WHEN typeof({column}) = 'VARCHAR' THEN TRY_CAST(CAST({column} AS VARCHAR) AS JSON) "
        f"ELSE to_json({column}) END"
    )
    number = "TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)"
    whole = f"{number} = trunc({number}) AND abs({number}) < {_LARGEST_BIGINT}"
    return (
        f"list_transform(json_extract({array}, '$[*]'), lambda x: "
        f"CASE WHEN json_type(x) <> 'DOUBLE' THEN CAST(x AS VARCHAR) "
        f"WHEN {whole} THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) "
        f"ELSE CAST({number} AS VARCHAR) END)"
    )


def _operand_keys(elements: Iterable[Any]) -> str:
    return f"CAST([{', '.join(map(_operand_key, elements))}] AS VARCHAR[])"


def _operand_key(element: Any) -> str:
    if isinstance(element, str):
        return f"CAST(to_json({quoted_text(element)}) AS VARCHAR)"
    if isinstance(element, bool):
        return "'true'" if element else "'false'"
    if isinstance(element, float) and element.is_integer() and abs(element) < _LARGEST_BIGINT:
        element = int(element)
    if isinstance(element, int):
        return quoted_text(str(element))
    return f"CAST({_number(element)} AS VARCHAR)"
