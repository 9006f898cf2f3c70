"""What a client is answered: exactly what its vendor would say, or a refusal it can live with.

Some clients take nothing for success but 200.  Of a refusal some read `code` and `message`, and
take it for a broken connection if one is missing; and all but 400 is sent again by somebody.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.types import Send

from serving.collecting.figures import Outcome
from serving.problems import MEDIA_TYPE, client_problem_body
from serving.safety import Headers, safe

JSON: Final = b"application/json"
_TEXT: Final = b"text/plain; charset=utf-8"

# A pixel that nobody sees.
_GIF = base64.b64decode("R0lGODlhAQABAPAAAAAAAP///yH5BAUAAAAALAAAAAABAAEAAAICRAEAOw==")

_ANY_PAGE: Final = b"cross-origin"
_NEVER_STORED: Final = b"no-cache, no-store, must-revalidate"

# Seconds for which a browser may remember what it was allowed.
_MAX_AGE = b"7200"
_PRINTABLE = re.compile(rb"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


class Answer(NamedTuple):
    status: int
    body: bytes
    media_type: bytes = JSON
    headers: Headers = ()


class Refused(Exception):
    """Ends a request; `outcome` is what it is counted as."""

    def __init__(self, answer: Answer, outcome: Outcome) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.outcome = outcome


PIXEL: Final = Answer(200, _GIF, b"image/gif")
PAYLOADS_TAKEN: Final = Answer(200, b"ok", _TEXT)
CALLS_TAKEN: Final = Answer(200, b'{"success":true}')
_CALLS_TAKEN: Final = {"rudderstack": Answer(200, b"OK", _TEXT)}


def calls_taken(form: str) -> Answer:
    """What the vendor of a format says."""
    return _CALLS_TAKEN.get(form, CALLS_TAKEN)


def refusal(status: int, code: str, message: str, headers: Headers = ()) -> Answer:
    body = client_problem_body(HTTPStatus(status), code, message)
    return Answer(status, body, MEDIA_TYPE.encode(), headers)


def later(status: int, code: str, message: str, seconds: int) -> Answer:
    """A refusal of what is to be sent again."""
    return refusal(status, code, message, ((b"retry-after", b"%d" % seconds),))


def cors(asked: Mapping[bytes, bytes]) -> Headers:
    """Whoever may post from a browser may from any: what keeps others out is the write key."""
    origin = asked.get(b"origin", b"")
    if not _PRINTABLE.fullmatch(origin):
        return ((b"vary", b"Origin"),)
    return (
        (b"vary", b"Origin"),
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"Retry-After"),
    )


def preflight(asked: Mapping[bytes, bytes], methods: tuple[str, ...]) -> Answer:
    """What a browser asks before it sends anything."""
    headers = [
        (b"access-control-allow-methods", ", ".join((*methods, "OPTIONS")).encode()),
        (b"access-control-max-age", _MAX_AGE),
    ]
    wanted = asked.get(b"access-control-request-headers", b"")
    if _PRINTABLE.fullmatch(wanted):  # a wildcard does not hold for requests with credentials
        headers.append((b"access-control-allow-headers", wanted))
    return Answer(200, b"", _TEXT, tuple(headers))


async def send_answer(answer: Answer, more: Headers, scheme: str, send: Send) -> None:
    headers = [
        (b"content-type", answer.media_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"cache-control", _NEVER_STORED),
        (b"cross-origin-resource-policy", _ANY_PAGE),
        *safe(scheme),
        *answer.headers,
        *more,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
