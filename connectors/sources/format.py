"""What a source format says of its records: where the fields are, and what an event is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from connectors.sources.decoding import Decoder
from connectors.sources.paths import Path


@dataclass(frozen=True, slots=True)
class Format:
    """`key`, `timestamp`, `message_id` and `arrival` are the paths of the format's own fields.

    `identities` are those that tell users apart, the surest first.

    An event model is asked for by its `type`.  `names_of` tells which types a record answers to,
    given its values at the `naming` paths.
    """

    name: str
    key: str
    identities: tuple[str, ...]
    timestamp: str
    message_id: str
    arrival: str
    naming: tuple[str, ...]
    names_of: Callable[[tuple[object, ...]], tuple[str, ...]]
    decoder: Callable[[Iterable[Path]], Decoder]
