"""Structured values: mappings, lists and scalars in each other, as YAML and JSON have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

# Keys and indexes, from the outermost value to one within.
Path = tuple[str | int, ...]


def leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """All that is neither a mapping nor a list, with where it is; `path` leads to the value."""
    match value:
        case Mapping():
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from leaves(inner, (*path, index))
        case _:
            yield path, value
