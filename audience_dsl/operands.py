"""What stands to the right of an operator, read by the type of the column on its left."""

from __future__ import annotations

import re2  # type: ignore[import-untyped]

from audience_dsl.definitions import ColumnType, Literal
from audience_dsl.diagnostics import printable, quoted
from audience_dsl.documents import ListNode, Node, Scalar
from audience_dsl.durations import read_duration
from audience_dsl.instants import read_instant
from audience_dsl.operators import Operand, Operator, compile_pattern
from audience_dsl.reading import Reader
from audience_dsl.scalars import core_number, core_value, is_ambiguous, is_null

_EXPECTED = {
    ColumnType.STRING: "a text",
    ColumnType.NUMBER: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.TIMESTAMP: "an instant such as 2026-03-01 or 2026-03-01T10:00:00Z",
    ColumnType.ARRAY: "a list",
}


class OperandReader:
    """Reads the operand of one operator for a column of one type; `None` for untyped."""

    def __init__(self, reader: Reader, operator: Operator, column_type: ColumnType | None) -> None:
        self._reader = reader
        self._operator = operator
        self.type = column_type
        self._what = f"'{operator.name}'"

    def read(self, node: Node) -> Literal | None:
        """The operand, or `None` after a mistake was reported.

        For an untyped column `type` becomes `TIMESTAMP` if operator or operand are about instants.
        """
        match self._operator.operand:
            case Operand.FLAG:
                text = self._text(node, "true or false")
                if text is None or text in ("true", "false"):
                    return None if text is None else text == "true"
                return self._misfit(node, "true or false")
            case Operand.DURATION:
                self.type = ColumnType.TIMESTAMP
                return self._duration(node)
            case Operand.TEXT:
                return self._text(node, "a text")
            case Operand.PATTERN:
                return self._pattern(node)
            case Operand.PAIR:
                return self._pair(node)
            case Operand.VALUES:
                return self._values(node, self._value)
            case Operand.ELEMENTS:
                return self._values(node, self._element)
            case Operand.VALUE:
                return self._value(node)

    def _value(self, node: Node) -> Literal | None:
        if self.type is None:
            self.type = self._inferred(node)
        if self.type is ColumnType.ARRAY:
            return self._values(node, self._element)
        text = self._text(node, _EXPECTED[self.type] if self.type else "a value")
        if text is None or not isinstance(node, Scalar):
            return None
        value: Literal | None
        match self.type:
            case ColumnType.STRING:
                value = text
            case ColumnType.NUMBER:
                value = core_number(text)
            case ColumnType.BOOLEAN:
                value = {"true": True, "false": False}.get(text)
            case ColumnType.TIMESTAMP:
                value = read_instant(text)
            case _:
                return self._ordered(node) if self._is_ordering else self._element(node)
        return value if value is not None else self._misfit(node, _EXPECTED[self.type])

    @property
    def _is_ordering(self) -> bool:
        return ColumnType.STRING not in self._operator.types

    def _inferred(self, node: Node) -> ColumnType | None:
        """Only instants must be told from other texts; all else the JSON type tells."""
        if self._operator.types == {ColumnType.TIMESTAMP}:
            return ColumnType.TIMESTAMP
        if self._is_ordering and isinstance(node, Scalar) and core_number(node.text) is None:
            return ColumnType.TIMESTAMP if read_instant(node.text) is not None else None
        return None

    def _ordered(self, node: Scalar) -> Literal | None:
        number = core_number(node.text)
        return self._misfit(node, "a number or an instant") if number is None else number

    def _element(self, node: Node) -> Literal | None:
        text = self._text(node, "a value")
        if text is None or not isinstance(node, Scalar):
            return None
        if is_ambiguous(node):
            bare = node.text.lstrip("+-").lstrip("0") or "0"
            message = (
                f"{self._what} is {quoted(node.written)}, a text to some and a number to others"
            )
            advice = f'write "{node.written}" for the text or {bare} for the number'
            self._reader.fail(node.span, "ambiguous", message, advice)
            return None
        return core_value(node)

    def _values(self, node: Node, read: object) -> Literal | None:
        assert callable(read)
        if not isinstance(node, ListNode):
            advice = f"write [{node.written}]" if isinstance(node, Scalar) and node.text else ""
            self._reader.fail(node.span, "wrong-type", f"{self._what} must be a list", advice)
            return None
        if not node.items:
            message = f"{self._what} is an empty list"
            self._reader.fail(node.span, "empty", message, "list at least one value")
            return None
        values = [read(item) for item in node.items]
        return None if any(value is None for value in values) else tuple(values)

    def _pair(self, node: Node) -> Literal | None:
        if not isinstance(node, ListNode) or len(node.items) != 2:
            advice = "write [a, b]; both belong to the range"
            message = f"{self._what} must be a list of two values"
            self._reader.fail(node.span, "wrong-type", message, advice)
            return None
        low, high = (self._value(item) for item in node.items)
        if low is None or high is None:
            return None
        if low > high:  # type: ignore[operator]
            message = f"the first value of {self._what} is larger than the second"
            self._reader.fail(node.span, "out-of-range", message, "exchange the two values")
            return None
        return (low, high)

    def _duration(self, node: Node) -> Literal | None:
        text = self._text(node, "a duration such as 7d")
        if text is None:
            return None
        duration = read_duration(text)
        return duration or self._misfit(node, "a duration such as 90s, 24h or 7d")

    def _pattern(self, node: Node) -> Literal | None:
        text = self._text(node, "a regular expression")
        if text is None:
            return None
        try:
            compile_pattern(f"(?i){text}")
        except re2.error as error:
            advice = "RE2 has no look-around and no back-references"
            if isinstance(node, Scalar) and node.text == node.written:
                advice += f"; it says: {printable(error.args[0].decode(errors='replace'))}"
            return self._misfit(node, "a regular expression in RE2's syntax", advice)
        return text

    def _text(self, node: Node, expected: str) -> str | None:
        if not isinstance(node, Scalar):
            several = isinstance(node, ListNode) and self._operator.name in ("equals", "not_equals")
            listing = "in" if self._operator.name == "equals" else "not_in"
            advice = f"for several values write {listing}: [a, b]" if several else ""
            kind = "list" if isinstance(node, ListNode) else "mapping"
            message = f"{self._what} must be {expected}, not a {kind}"
            self._reader.fail(node.span, "wrong-type", message, advice)
        elif node.broken:
            self._reader.failures += 1
        elif is_null(node):
            advice = "for a missing value write exists: false"
            message = f"{self._what} has no value; it must be {expected}"
            self._reader.fail(node.span, "no-value", message, advice)
        else:
            return node.text
        return None

    def _misfit(self, node: Node, expected: str, advice: str = "") -> Literal | None:
        assert isinstance(node, Scalar)
        message = f"{self._what} must be {expected}, not {quoted(node.written)}"
        self._reader.fail(node.span, "wrong-value", message, advice)
        return None
