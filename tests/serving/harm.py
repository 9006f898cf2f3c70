"""Bodies as nobody should send them, made of what real clients have sent."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.serving.collected import captured

_DEEP = 20_000
_LONG = 8 << 20


class Sent(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Harm:
    """Gives requests without end, the same for the same seed.

    `others` are bodies that other paths take, by path.
    """

    def __init__(self, seed: int, others: dict[str, Any], headers: dict[str, str]) -> None:
        self._chance = random.Random(seed)
        self._name = f"f{seed}"
        self._clients = [one for one in captured() if one["method"] == "POST" and one["events"]]
        self._others = list(others.items())
        self._headers = headers
        self._count = 0

    def __iter__(self) -> Iterator[Sent]:
        while True:
            self._count += 1
            yield self._other() if self._chance.random() < 0.05 else self._event()

    def _event(self) -> Sent:
        one = self._chance.choice(self._clients)
        query = "&".join(f"{name}={value}" for name, value in one["query"])
        headers = {
            name: value
            for name, value in one["headers"]
            if name.lower() not in {"host", "content-length", "connection", "transfer-encoding"}
        }
        if "body_base64" in one:
            body = base64.b64decode(one["body_base64"])
        else:
            body = one["body"].encode("utf-8", "surrogatepass")
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        path = one["path"].partition("?")[0] + (f"?{query}" if query else "")
        return self._harmed(path, headers, named(body, f"{self._name}-{self._count}"))

    def _other(self) -> Sent:
        path, content = self._chance.choice(self._others)
        return self._harmed(path, dict(self._headers), json.dumps(content).encode())

    def _harmed(self, path: str, headers: dict[str, str], body: bytes) -> Sent:
        for harm in self._chance.choices(_HARMS, k=self._chance.choice((0, 1, 1, 1, 2))):
            body = harm(self._chance, body)
        if self._chance.random() < 0.01:
            body = self._chance.choice(_HEAVY)(self._chance, body)
        if self._chance.random() < 0.2:
            body = gzip.compress(body, 1, mtime=0)
            body = self._chance.choice((body, body, body[: len(body) // 2], body + b"x", body * 2))
        if self._chance.random() < 0.2:
            headers["Content-Type"] = self._chance.choice(_TYPES)
        if self._chance.random() < 0.2:
            headers["Content-Encoding"] = self._chance.choice(("gzip", "br", "identity", "x"))
        return Sent(path, headers, body)


def named(body: bytes, name: str) -> bytes:
    """With events that are known again: by the name and their number."""
    try:
        content = json.loads(body)
    except ValueError:
        return body
    for number, event in enumerate(_events(content)):
        event["eid" if "e" in event else "messageId"] = f"{name}-{number}"
    return json.dumps(content).encode()


def names_in(body: bytes) -> set[str] | None:
    """Those that anybody finds who decodes a body; `None` if nobody can."""
    try:
        if body[:2] == b"\x1f\x8b":
            one = zlib.decompressobj(31)
            body = one.decompress(body, _LONG)
            if not one.eof or one.unused_data:
                return set()  # of some bytes it is not clear what they are
        content = json.loads(body.decode())
    except (ValueError, zlib.error):
        return None
    except RecursionError:
        return set()
    events = [one for one in _events(content) if isinstance(one, dict)]
    found = {str(one.get("eid" if "e" in one else "messageId")) for one in events}
    return {one for one in found if one.isascii() and one.isprintable() and one.startswith("f")}


def _events(content: Any) -> list[Any]:
    if not isinstance(content, dict):
        return []
    for name in ("batch", "data"):
        if isinstance(content.get(name), list):
            found: list[Any] = content[name]
            return [one for one in found if isinstance(one, dict)]
    return [content]


def _flip(chance: random.Random, body: bytes) -> bytes:
    changed = bytearray(body)
    for _ in range(chance.randint(1, 5)):
        if changed:
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(chance: random.Random, body: bytes) -> bytes:
    return body[: chance.randint(0, len(body))]


def _stuff(chance: random.Random, body: bytes) -> bytes:
    """Something that is hard to read, in place of a value or anywhere."""
    odd = chance.choice(_ODD)
    place = body.find(b":", chance.randint(0, max(len(body) - 1, 0))) + 1
    end = place + 1 if chance.random() < 0.5 else body.find(b",", place)
    return body[:place] + odd + body[max(end, place) :]


def _replace(chance: random.Random, body: bytes) -> bytes:
    """Values of other kinds, somewhere within."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    inner = content
    while isinstance(inner, dict | list) and inner:
        place = chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
        if not isinstance(inner[place], dict | list) or chance.random() < 0.2:
            inner[place] = copy.deepcopy(chance.choice(_KINDS))
            break
        inner = inner[place]
    return json.dumps(content).encode()


def _repeat(chance: random.Random, body: bytes) -> bytes:
    """The same keys once more, with other values."""
    key = chance.choice((b'"batch"', b'"messageId"', b'"type"', b'"userId"', b'"data"', b'"e"'))
    value = chance.choice(_ODD)
    return body.replace(b"{", b"{%b:%b," % (key, value), chance.randint(1, 3))


def _encode(chance: random.Random, body: bytes) -> bytes:
    how = chance.choice(("utf-16", "utf-8-sig", "utf-32", "latin-1"))
    return body.decode("utf-8", "replace").encode(how, "replace")


def _base64(chance: random.Random, body: bytes) -> bytes:
    """Of what Snowplow's trackers send in this form, some letters are others."""
    for name in (b'"ue_px"', b'"cx"'):
        place = body.find(name)
        if place >= 0:
            place += len(name) + chance.randint(3, 20)
            return (
                body[:place] + chance.choice((b"!!", b"=", b"\\u0000", b"-_", b"")) + body[place:]
            )
    return body


def _many(_chance: random.Random, body: bytes) -> bytes:
    return body.replace(b"[{", b"[" + b"{}," * 3_000 + b"{", 1)


def _shared(chance: random.Random, _body: bytes) -> bytes:
    """Few bytes that every event of a batch would have."""
    context = chance.choice(
        (
            {"a": [0] * 16_000},
            {str(number): 0 for number in range(5_000)},
            {"a": "x" * 6_000},
            {str(number): 0 for number in range(200_000)},
        )
    )
    item = chance.choice(({}, {"context": {"b": 1}}, {"context": 5}))
    content = {"context": context, "batch": [item] * 10_000}
    return json.dumps(content, separators=(",", ":")).encode()


def _members(_chance: random.Random, _body: bytes) -> bytes:
    return gzip.compress(b"", 1, mtime=0) * 200_000


def _bomb(chance: random.Random, _body: bytes) -> bytes:
    size = chance.choice((1 << 16, 1 << 20, 1 << 24))
    return gzip.compress(chance.choice((b" ", b"[", b'{"a":', b"0")) * size, 1, mtime=0)


_ODD = (
    b"\x00",
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b"1e999",
    b"-1e-999",
    b"9" * 400,
    b"-0.0",
    b"NaN",
    b"18446744073709551616",
    b"[" * _DEEP,
    b"[" * 100 + b"]" * 100,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'"' + b"x" * 70_000 + b'"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"null",
    b'"999999999-99-99T99:99:99Z"',
    b'"0000-00-00T00:00:00Z"',
    b"{}",
    b"[[]]",
    b"",
)
_KINDS: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1 << 70,
    1e308,
    "",
    "\x00",
    "\ud800",
    "x" * 2_000,
    "2026-03-01T10:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    [],
    {},
    [[[[]]]],
    {"\x00": {"\ud800": None}},
    {"": ""},
)
_TYPES = ("text/plain", "application/xml", "multipart/form-data", "x", "", "application/json; x=y")
_HARMS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip, _flip, _cut, _stuff, _stuff, _stuff, _replace, _replace, _replace),
    *(_repeat, _encode, _base64),
)
_HEAVY = (_many, _shared, _members, _bomb)
