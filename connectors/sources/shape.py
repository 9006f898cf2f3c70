"""Typed decoding of only those fields that the plan asks for.

msgspec decodes into a class several times faster than into dictionaries, and skips what the class
does not name.  From the paths that are needed, nested classes are made whose fields take any
value.  Containers are typed: a record whose containers are of another kind, or that spells a path
as one dotted key, is refused by the decoder and takes the slower way through a dictionary.  Both
ways end in the same class, so that nothing behind sees which one a record took.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, TypeAlias

import msgspec

from connectors.sources.paths import Path, parse_path, pluck

# An instance of a class made here, and a function from such to their values at one path.
Record: TypeAlias = Any
Column = Callable[[Sequence[Record]], list[Any]]

# No integer is both, so a record that has such a field is refused.
_REFUSED = Annotated[int, msgspec.Meta(ge=1, le=0)]


class _Place:
    """A place in the record: a value wanted as it is, or a container with wanted places inside."""

    def __init__(self) -> None:
        self.whole = False
        self.fields: dict[str, _Place] = {}
        self.elements: _Place | None = None
        self.refused: set[str] = set()

    def add(self, step: str | int) -> _Place:
        if isinstance(step, str):
            return self.fields.setdefault(step, _Place())
        self.elements = self.elements or _Place()
        return self.elements

    def inside(self, step: str | int) -> _Place:
        """The place that a step leads to; the elements of an array share one."""
        if isinstance(step, str):
            return self.fields[step]
        assert self.elements is not None
        return self.elements

    def settle(self) -> None:
        """Want a container whole that is wanted itself, or both as object and as array."""
        self.whole = self.whole or bool(self.fields and self.elements)
        for one in (*self.fields.values(), *filter(None, (self.elements,))):
            one.settle()

    def type(self) -> Any:
        if self.whole:
            return Any
        if self.elements:
            return list[self.elements.type()] | None  # type: ignore[misc]
        return self.record_type() | None

    def record_type(self) -> Any:
        wanted = [
            (f"field_{number}", inside.type(), msgspec.field(name=key, default=None))
            for number, (key, inside) in enumerate(self.fields.items())
        ]
        refused = [
            (f"refused_{number}", _REFUSED, msgspec.field(name=key, default=1))
            for number, key in enumerate(sorted(self.refused - self.fields.keys()))
        ]
        # Decoded values form no cycles, so the garbage collector need not visit them.
        self.make = msgspec.defstruct("Record", [*wanted, *refused], gc=False)
        return self.make

    def attribute(self, step: str) -> str:
        return f"field_{list(self.fields).index(step)}"


class Shape:
    """The class of records that hold the values at `paths`, and how to come by them.

    `decode` (one record) and `decode_lines` raise what msgspec raises for broken JSON, and for
    records that are of another shape or have one of the `refused` top-level keys; `of` takes these.
    """

    def __init__(self, paths: Iterable[Path], refused: Iterable[str] = ()) -> None:
        self._root = _Place()
        self._root.refused.update(refused)
        ordered = sorted(set(paths), key=lambda path: path.text)
        for path in ordered:
            place = self._root
            for i, step in enumerate(path.steps):
                if isinstance(step, str) and i + 1 < len(path.steps):
                    place.refused.add(path.rests[i])
                place = place.add(step)
            place.whole = True
        self._root.settle()
        decoder = msgspec.json.Decoder(self._root.record_type())
        self.decode: Callable[[bytes], Record] = decoder.decode
        self.decode_lines: Callable[[memoryview], list[Record]] = decoder.decode_lines
        self._held = {parse_path(path.text_of(self._depth(path))) for path in ordered}

    def of(self, raw: object) -> Record:
        """The record of an object that has been decoded already."""
        record = self._root.make()
        for path in self._held:
            value = pluck(raw, path)
            if value is not None:
                _put(record, self._root, path.steps, value)
        return record

    def column(self, path: Path) -> Column:
        """Compile a function from records to their values at the path, `None` where none is."""
        depth = self._depth(path)
        place, value = self._root, "record"
        for number, step in enumerate(path.steps[:depth]):
            container = value if place is self._root else f"value_{number}"
            if isinstance(step, str):
                inside = f"{container}.{place.attribute(step)}"
            else:
                inside = f"{container}[{step}] if len({container}) > {step} else None"
            missing = f"None if ({container} := {value}) is None else "
            value = inside if place is self._root else f"({missing}{inside})"
            place = place.inside(step)
        # A comprehension with the attributes spelled out takes half the time of `attrgetter`.  All
        # that it is made of are numbers of fields and of places.
        column: Column = eval(f"lambda records: [{value} for record in records]")  # noqa: S307
        if depth == len(path.steps):
            return column
        return lambda records: [pluck(whole, path, depth) for whole in column(records)]

    def _depth(self, path: Path) -> int:
        """How many steps of the path lead to a place that is held as it is."""
        place = self._root
        for depth, step in enumerate(path.steps):
            if place.whole:
                return depth
            place = place.inside(step)
        return len(path.steps)


def _put(container: Any, place: _Place, steps: Sequence[str | int], value: object) -> None:
    """Set the value at `steps` below a container, making the containers between."""
    step, rest = steps[0], steps[1:]
    inside = place.inside(step)
    if isinstance(step, int):
        container.extend([None] * (step + 1 - len(container)))
        held = container[step]
    else:
        held = getattr(container, place.attribute(step))
    if not rest:
        held = value
    else:
        if held is None:
            held = [] if inside.elements else inside.make()
        _put(held, inside, rest, value)
    if isinstance(step, int):
        container[step] = held
    else:
        setattr(container, place.attribute(step), held)
