"""What a collection means: which columns of a parent model are looked up, and by which."""

from __future__ import annotations

from audience_dsl.definitions import Collection, ColumnType, ParentModel
from audience_dsl.diagnostics import quoted
from audience_dsl.documents import ListNode, Scalar
from audience_dsl.filters import A_TYPE, FilterResolver
from audience_dsl.models import KnownColumns
from audience_dsl.reading import Fields, Reader

_INDEXED = (ColumnType.STRING, ColumnType.NUMBER, None)


def collection(
    key: str, fields: Fields, model: ParentModel, columns: KnownColumns, reader: Reader
) -> Collection:
    """The columns that cannot be used are reported, and left out."""
    indexes = _columns("indexes", fields, model, columns, reader)
    chosen = _columns("fields", fields, model, columns, reader)
    if "fields" not in fields.nodes:
        chosen = list(dict.fromkeys((model.primary_key, *model.properties)))
    return Collection(
        key,
        model.key,
        tuple(indexes),
        None if columns.open and "fields" not in fields.nodes else tuple(chosen),
        fields.get("name", ""),
        fields.get("description", ""),
    )


def _columns(
    of: str, fields: Fields, model: ParentModel, columns: KnownColumns, reader: Reader
) -> list[str]:
    """The columns of one of the two lists."""
    node = fields.nodes.get(of)
    found: list[str] = []
    for item in node.items if isinstance(node, ListNode) else ():
        if not isinstance(item, Scalar):
            continue  # reported as it was read
        name = item.text
        if name in found:
            message = f"{quoted(name)} stands in {of!r} twice"
            reader.fail(item.span, "duplicate", message, "name each once")
        elif name == model.primary_key:
            if of == "indexes":
                message = f"{quoted(name)} is the primary key, by which rows are found in any case"
                reader.fail(item.span, "duplicate", message, "remove it")
            found.append(name)
        elif FilterResolver(reader).knows(item, columns, f" of {model.key}"):
            found.append(name)
            type_ = columns.types.get(name)
            if of == "indexes" and type_ not in _INDEXED:
                assert type_ is not None
                message = f"{quoted(name)} is {A_TYPE[type_]}, which rows are not found by"
                advice = "an index is a column of texts or whole numbers"
                reader.fail(item.span, "operator-type", message, advice)
    return found
