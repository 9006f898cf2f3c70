"""What the log of deliveries may show of a request and of its answer.

Of a body it shows the keys, the values that are the transition's own, and what stands literally in
the definitions; any other value may be somebody's address or name, and is `***`.  Of an answer it
shows the text without such values, without whatever looks like an address of e-mail or a digest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from audience_dsl.structures import leaves
from connectors.destinations.destination import Message
from connectors.destinations.http.exchange import Request

MASK = "***"
_LONGEST = 2_000
_SHORTEST_PERSONAL = 4
_PERSONAL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,64}(\.[\w-]{1,64})+|\b[0-9A-Fa-f]{64}\b")
# Headers that hold no credentials, whatever somebody puts into the others.
_PLAIN_HEADERS = frozenset(
    {"accept", "content-type", "content-encoding", "revision", "webhook-id", "webhook-timestamp"}
)

Shown = Callable[[object], bool]


def shown_in(messages: Sequence[Message], literals: Iterable[str] = ()) -> Shown:
    """Which values of a request are no secret: the transition's own, and literals."""
    known = {str(value) for message in messages for value in message.record.values()}
    known |= {text for message in messages for text in _texts(message.record.get("cause"))}
    known.update(literals)
    return lambda value: value is None or isinstance(value, bool) or str(value) in known


def masked(value: object, shown: Shown) -> object:
    """The same structure, with `***` for each value that is not shown."""
    match value:
        case Mapping():
            return {key: masked(inner, shown) for key, inner in value.items()}
        case list() | tuple():
            return [masked(inner, shown) for inner in value]
        case _:
            return value if shown(value) else MASK


def request_text(origin: object, request: Request, body: str, target: str | None = None) -> str:
    """A request as people read it; `body` and `target` are what may be shown of them."""
    lines = [f"{request.method} {origin}{request.target if target is None else target}"]
    lines += [
        f"{name}: {value if name.lower() in _PLAIN_HEADERS else MASK}"
        for name, value in request.headers.items()
    ]
    return cut("\n".join([*lines, "", body]))


def replies_to(messages: Sequence[Message]) -> Callable[[str], str]:
    """What makes of an answer, or of a part, what people may read: nothing it repeats of people.

    Made once for all parts of an answer: who is to be hidden takes long to find out for thousands.
    """
    hidden = set()
    for message in messages:
        own = {str(value) for value in message.record.values()}
        hidden |= {
            leaf
            for leaf in _texts(message.mapped)
            if len(leaf) >= _SHORTEST_PERSONAL and leaf not in own
        }
    longest_first = sorted(hidden, key=len, reverse=True)

    def shown(text: str) -> str:
        for one in longest_first:
            text = text.replace(one, MASK)
        return cut(_PERSONAL.sub(MASK, text))

    return shown


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def cut(text: str) -> str:
    """Long texts end with how much is missing."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def _texts(value: object) -> Iterator[str]:
    """Its leaves, but for those that tell nothing about anybody."""
    for _, leaf in leaves(value):
        if leaf is not None and not isinstance(leaf, bool):
            yield str(leaf)
