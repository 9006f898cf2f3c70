"""What a `related` condition means: an aggregate of a related model's rows, compared."""

from __future__ import annotations

from typing import Any as Value

from audience_dsl.cases import can_match
from audience_dsl.catalog import Catalog
from audience_dsl.counts import in_order
from audience_dsl.definitions import (
    ColumnType,
    Filter,
    Literal,
    RelatedComparison,
    RelatedModel,
)
from audience_dsl.diagnostics import listed, quoted
from audience_dsl.documents import Scalar
from audience_dsl.filters import A_TYPE, FilterResolver
from audience_dsl.models import KnownColumns
from audience_dsl.operands import OperandReader
from audience_dsl.operators import OPERATORS
from audience_dsl.reading import Fields, Reader
from audience_dsl.related_grammar import (
    AGGREGATE_OPERATORS,
    AGGREGATES,
    COUNT_OPERATORS,
    COUNTS,
)


class RelatedResolver:
    """Resolves the conditions of audiences of one parent model."""

    def __init__(self, parent: str, catalog: Catalog, reader: Reader) -> None:
        self._parent = parent
        self._catalog = catalog
        self._reader = reader
        self._filters = FilterResolver(reader)

    def resolve(self, fields: Fields) -> RelatedComparison | None:
        """The predicate; `None` if a part of it was reported as broken."""
        key = fields.get("related")
        model = self._catalog.related.get(key) if key is not None else None
        columns = self._catalog.related_columns.get(key) if key is not None else None
        aggregate = next((name for name in AGGREGATES if name in fields.nodes), "count")
        compared = self._compared(fields, aggregate)
        if model is None or columns is None:
            return None
        if model.parent_model != self._parent:
            self._report_other_parent(fields, model)
            return None
        column = "" if aggregate == "count" else self._column(fields, aggregate, columns, key)
        where: Filter | None = None
        if "where" in fields.nodes:
            where = self._where(fields, columns, key)
            if where is None:
                return None
        if column is None or compared is None:
            return None
        return RelatedComparison(model, aggregate, column, where, *compared)

    def _report_other_parent(self, fields: Fields, model: RelatedModel) -> None:
        message = f"{quoted(model.key)} is related to {quoted(model.parent_model)}"
        models = self._catalog.related.values()
        own = [one.key for one in models if one is not None and one.parent_model == self._parent]
        advice = f"this audience selects {quoted(self._parent)}, "
        advice += f"whose related models are {listed(own, 'and')}" if own else "which has none"
        self._reader.fail(fields.at("related"), "other-parent", message, advice)

    def _column(self, fields: Fields, aggregate: str, columns: KnownColumns, of: str) -> str | None:
        """The column that the aggregate is taken of."""
        name = fields.nodes[aggregate]
        if aggregate not in fields.values or not isinstance(name, Scalar):
            return None
        if not self._filters.knows(name, columns, f" of {of}"):
            return None
        type_ = columns.types.get(name.text)
        fits = type_ is not ColumnType.ARRAY
        if aggregate != "distinct":
            fits = type_ in (ColumnType.NUMBER, None)
        if not fits:
            assert type_ is not None
            message = f"'{aggregate}' does not fit {quoted(name.text)}, which is {A_TYPE[type_]}"
            wanted = "any column but an array" if aggregate == "distinct" else "a number"
            self._reader.fail(name.span, "operator-type", message, f"it takes {wanted}")
            return None
        if type_ is None:
            message = f"the type of {quoted(name.text)} is not known"
            advice = f"declare it under properties of {quoted(of)}"
            self._reader.fail(name.span, "unknown-type", message, advice)
            return None
        return name.text

    def _where(self, fields: Fields, columns: KnownColumns, of: str) -> Filter | None:
        where = fields.get("where")
        if where is None:
            return None
        resolved = self._filters.filter(where, columns, f" of {of}")
        if resolved is not None and not can_match(resolved):
            message = f"no row of {of} can ever pass this filter: its parts exclude each other"
            advice = "perhaps any, or in: [a, b], is meant"
            self._reader.found.warning(fields.keys["where"].span, "never", message, advice)
        return resolved

    def _compared(self, fields: Fields, aggregate: str) -> tuple[str, Literal] | None:
        """Operator and operand."""
        known = AGGREGATE_OPERATORS if aggregate != "count" else tuple(COUNTS)
        given = [one for one in fields.nodes if one in COUNTS or one in AGGREGATE_OPERATORS]
        if not given:
            if aggregate == "count":
                return "at_least", 1
            message = f"'{aggregate}' needs an operator that compares it, and has none"
            advice = "add one such as greater_than: 100"
            self._reader.fail(fields.keys[aggregate].span, "missing-key", message, advice)
            return None
        if len(given) > 1:
            return None  # reported as it was read
        name = given[0]
        if name not in known:
            self._report_other_words(fields, name, aggregate)
            return None
        return self._count(fields, name) if aggregate == "count" else self._number(fields, name)

    def _report_other_words(self, fields: Fields, name: str, aggregate: str) -> None:
        if aggregate == "count":
            message = f"'{name}' compares an aggregate, and this condition counts rows"
            words = {operator: count for count, operator in COUNT_OPERATORS.items()}
            words |= {"equals": "exactly"}
            close = words.get(name)
            advice = f"write {close}" if close else f"for rows there are {listed(COUNTS)}"
        else:
            message = f"'{name}' counts rows, and this condition compares '{aggregate}'"
            close = "" if name == "none" else COUNT_OPERATORS[name]
            advice = f"write {close}" if close else "remove it, or remove the aggregate"
        self._reader.fail(fields.keys[name].span, "operator-type", message, advice)

    def _count(self, fields: Fields, name: str) -> tuple[str, Literal] | None:
        if name in AGGREGATE_OPERATORS:  # the value's kind was left open until now
            value: Value = self._reader.read(
                fields.nodes[name], COUNTS[name], f"'{name}'", fields.keys[name]
            )
        else:
            value = fields.get(name)
        if value is None:
            return None
        if name == "none":
            return ("equals", 0) if value else ("greater_than", 0)
        if name == "between":
            pair = in_order(value, fields.at("between"), self._reader)
            return None if pair is None else ("between", pair)
        return COUNT_OPERATORS[name], value

    def _number(self, fields: Fields, name: str) -> tuple[str, Literal] | None:
        operands = OperandReader(self._reader, OPERATORS[name], ColumnType.NUMBER)
        operand = operands.read(fields.nodes[name])
        return None if operand is None else (name, operand)
