"""What the oracle makes of single values: comparisons, filters, counts, durations, instants.

From the specification alone, like the oracle itself.  Only the operators that the histories use
are here; all of them are tested value by value where the language's operators are.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import isnan
from typing import Any

Definition = Mapping[str, Any]


def counts(condition: Definition, count: int) -> bool:
    """The count comparison of an event condition."""
    tests: dict[str, Callable[[Any], bool]] = {
        "did_not_perform": lambda _: count == 0,
        "at_most": lambda most: count <= most,
        "exactly": lambda number: count == number,
        "more_than": lambda number: count > number,
        "less_than": lambda number: count < number,
        "between": lambda bounds: bounds[0] <= count <= bounds[1],
        "at_least": lambda least: count >= least,
    }
    for name, test in tests.items():
        if name in condition:
            return test(condition[name])
    return count >= 1


def related_holds(condition: Definition, rows: Sequence[Definition], model: Definition) -> bool:
    """A `related` condition, given a user's rows: how many there are, or an aggregate of them."""
    types = model["properties"]
    columns = {name: {"column": name, "type": type_} for name, type_ in types.items()}
    passing = [row for row in rows if filter_holds(condition.get("where"), row, columns)]
    aggregates = {"sum", "avg", "min", "max", "distinct"} & condition.keys()
    rest = {name: told for name, told in condition.items() if name not in {"related", "where"}}
    if not aggregates:
        if "none" in rest:
            return (len(passing) == 0) is rest["none"]
        return counts(rest, len(passing))
    (aggregate,) = aggregates
    column = rest.pop(aggregate)
    values = [_read(row[column], types[column]) for row in passing]
    values = [value for value in values if value is not None]
    number: Any
    match aggregate:
        case "distinct":
            number = len({(_kind(value), value) for value in values})
        case "sum":
            number = sum(map(Fraction, values))
        case "avg":
            number = sum(map(Fraction, values)) / len(values) if values else None
        case "min":
            number = min(values, default=None)
        case _:
            number = max(values, default=None)
    return compare(rest, None if number is None else float(number), "number")


def filter_holds(where: Any, record: Definition, properties: Definition) -> bool:
    """The `where` of an event condition: a mapping, a list (all) or a tree."""
    match where:
        case None:
            return True
        case [*of] | {"all": [*of]}:
            return all(filter_holds(one, record, properties) for one in of)
        case {"any": [*of]}:
            return any(filter_holds(one, record, properties) for one in of)
        case {"none": [*of]}:
            return not any(filter_holds(one, record, properties) for one in of)
        case {"not": one}:
            return not filter_holds(one, record, properties)
        case {"property": alias, **operators}:
            return _property_holds(alias, operators, record, properties)
    return all(_property_holds(alias, told, record, properties) for alias, told in where.items())


def _property_holds(alias: str, told: Any, record: Definition, properties: Definition) -> bool:
    declared = properties[alias]
    path, type_ = (
        (declared, None)
        if isinstance(declared, str)
        else (declared["column"], declared.get("type"))
    )
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return compare(told if isinstance(told, Mapping) else {"equals": told}, value, type_)


def compare(operators: Definition, value: Any, declared: str | None) -> bool:
    """§6: all operators must hold; a missing value satisfies `exists: false` and nothing else."""
    fold = operators.get("ignore_case", False)
    value = _read(value, declared)
    value = value.casefold() if fold and isinstance(value, str) else value
    return all(
        _holds_one(
            name, value, operand.casefold() if fold and isinstance(operand, str) else operand
        )
        for name, operand in operators.items()
        if name != "ignore_case"
    )


def _read(value: Any, declared: str | None) -> Any:
    """A value as its declared type; `None` where it cannot be read so."""
    if declared == "number" and isinstance(value, str):
        value = float(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else None
    is_nan = isinstance(value, float) and isnan(value)
    return None if is_nan or (declared and _kind(value) != declared) else value


def _holds_one(operator: str, value: Any, operand: Any) -> bool:
    if operator == "exists":
        return (value is not None) is operand
    one = operand[0] if isinstance(operand, list) else operand
    if _kind(value) != _kind(one):  # missing, or of a type with which the operand has no order
        return False
    if operator.startswith("not_"):
        return not _holds_one(operator.removeprefix("not_"), value, operand)
    match operator:
        case "equals" | "is":
            return bool(value == operand)
        case "in":
            return bool(value in operand)
        case "between":
            return bool(operand[0] <= value <= operand[1])
        case "greater_than":
            return bool(value > operand)
        case "at_least":
            return bool(value >= operand)
        case "less_than":
            return bool(value < operand)
        case "at_most":
            return bool(value <= operand)
        case "contains":
            return operand in value
        case "starts_with":
            return bool(value.startswith(operand))
        case "ends_with":
            return bool(value.endswith(operand))
    raise NotImplementedError(operator)


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string"}
    return kinds.get(type(value), "missing")


def read_duration(text: str) -> int:
    """`90s`, `10m`, `1 day`: microseconds."""
    number, unit = re.fullmatch(r"(\d+) ?([a-z])[a-z]*", text).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] * 1_000_000


def read_instant(text: str) -> int:
    """ISO 8601 with a zone: microseconds since 1970 UTC."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
