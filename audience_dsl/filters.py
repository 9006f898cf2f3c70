"""What a `where` inside a condition means: comparisons of columns, and groups of them.

An event's properties and a related model's columns are filtered alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from audience_dsl.definitions import (
    AllOf,
    AnyOf,
    ColumnType,
    Comparison,
    Filter,
    Negation,
)
from audience_dsl.diagnostics import quoted
from audience_dsl.documents import Scalar
from audience_dsl.models import KnownColumns
from audience_dsl.operands import OperandReader
from audience_dsl.operators import OPERATORS
from audience_dsl.reading import Entry, Fields, Reader

A_TYPE = {
    ColumnType.STRING: "a string",
    ColumnType.NUMBER: "a number",
    ColumnType.BOOLEAN: "a boolean",
    ColumnType.TIMESTAMP: "a timestamp",
    ColumnType.ARRAY: "an array",
}


class FilterResolver:
    """Resolves names and operands; what is wrong is reported, and `None`."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def filter(self, fields: Fields, columns: KnownColumns, of: str) -> Filter | None:
        """The filter; `of` says whose columns these are: " of orders"."""
        match fields.form:
            case "property":
                return self.comparison(fields, columns, of)
            case "":
                parts = self._aliases(fields.get("") or {}, columns, of)
            case "not":
                inner = fields.get("not")
                parts = [self.filter(inner, columns, of) if inner else None]
            case group:
                members = fields.get(group) or ()
                parts = [self.filter(one, columns, of) if one else None for one in members]
        filters = tuple(part for part in parts if part is not None)
        if not filters or len(filters) < len(parts):
            return None
        if fields.form in ("any", "none"):
            joined: Filter = AnyOf(filters) if len(filters) > 1 else filters[0]
        else:
            joined = AllOf(filters) if len(filters) > 1 else filters[0]
        return Negation(joined) if fields.form in ("none", "not") else joined

    def _aliases(
        self, entries: Mapping[str, Entry], columns: KnownColumns, of: str
    ) -> list[Filter | None]:
        """`alias: value` and `alias: {operator: value, ...}`."""
        parts: list[Filter | None] = []
        for alias, entry in entries.items():
            if isinstance(entry.value, Fields):
                operators = entry.value
                named = [name for name in operators.nodes if name in OPERATORS]
                if not named and not operators.nodes.keys() - {"ignore_case"}:
                    message = f"{quoted(alias)} needs one operator or more, and has none"
                    self._reader.fail(entry.key.span, "missing-key", message)
                checked = self.knows(entry.key, columns, of) and bool(named)
                if not checked:
                    parts.append(None)
                    continue
                parts.extend(self._compare(alias, name, operators, columns) for name in named)
            elif entry.value is None or not self.knows(entry.key, columns, of):
                parts.append(None)
            else:
                equals = Fields("", entry.key.span, nodes={"equals": entry.value})
                parts.append(self._compare(alias, "equals", equals, columns))
        return parts

    def comparison(self, fields: Fields, columns: KnownColumns, of: str) -> Comparison | None:
        """`property: NAME` with its one operator."""
        name = fields.nodes.get("property")
        if "property" not in fields.values or not isinstance(name, Scalar):
            return None
        if not self.knows(name, columns, of):
            return None
        operators = [operator for operator in fields.nodes if operator in OPERATORS]
        if len(operators) != 1:
            return None
        return self._compare(name.text, operators[0], fields, columns)

    def knows(self, name: Scalar, columns: KnownColumns, of: str) -> bool:
        """Whether there is such a column; if not, that is reported."""
        if name.text in columns.types or columns.open:
            return True
        self._reader.unknown(name.span, "property", name.written, columns.places, of)
        return False

    def _compare(
        self, column: str, name: str, fields: Fields, columns: KnownColumns
    ) -> Comparison | None:
        operator, node = OPERATORS[name], fields.nodes[name]
        declared = columns.types.get(column)
        if declared is not None and declared not in operator.types:
            fitting = [one.name for one in OPERATORS.values() if declared in one.types]
            place = columns.places.get(column)
            where = f" (defined at {place.span})" if place else ""
            message = f"'{name}' does not fit {quoted(column)}, which is {A_TYPE[declared]}{where}"
            advice = f"operators for {A_TYPE[declared]}: {', '.join(fitting)}"
            span = fields.keys[name].span if name in fields.keys else node.span
            self._reader.fail(span, "operator-type", message, advice)
            return None
        operands = OperandReader(self._reader, operator, declared)
        operand = operands.read(node)
        if operand is None or not self._may_ignore_case(name, operands.type, fields):
            return None
        ignore_case = bool(fields.get("ignore_case", False))
        return Comparison(column, name, operand, operands.type, ignore_case)

    def _may_ignore_case(self, name: str, compared: ColumnType | None, fields: Fields) -> bool:
        if "ignore_case" not in fields.nodes:
            return True
        if OPERATORS[name].may_ignore_case and compared in (ColumnType.STRING, None):
            return "ignore_case" in fields.values
        message = f"'ignore_case' is about texts, which '{name}' does not compare here"
        span = fields.keys["ignore_case"].span
        self._reader.fail(span, "operator-type", message, "remove ignore_case")
        return False
