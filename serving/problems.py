"""Errors as RFC 9457 has them: `application/problem+json`, one sentence for a person to act on."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from connectors.sentences import Trouble
from serving.reminders import Reminders
from serving.safety import SAFE

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """Ends a request; `detail` says what is wrong and what to do."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem_response(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(problem_body(status, detail), status, headers, MEDIA_TYPE)


def raw_problem(status: HTTPStatus, detail: str, retry_after: int | None = None) -> bytes:
    """The bytes of an answer after which the connection ends, where no application was asked.

    Whoever has asked may be one of the collector's clients.
    """
    body = client_problem_body(status, status.name.lower(), detail)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *SAFE,
        (b"connection", b"close"),
    ]
    if retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after))
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
    lines += [b"%s: %s" % header for header in headers]
    return b"\r\n".join([*lines, b"", body])


def problem_body(status: HTTPStatus, detail: str) -> bytes:
    return msgspec.json.encode(_facts(status, detail))


def client_problem_body(status: HTTPStatus, code: str, detail: str) -> bytes:
    """The same with the two fields that vendors' clients look for."""
    return msgspec.json.encode({**_facts(status, detail), "code": code, "message": detail})


def _facts(status: HTTPStatus, detail: str) -> dict[str, object]:
    return {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}


async def answer_problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem_response(problem.status, problem.detail, problem.headers)


async def answer_unroutable(request: Request, error: Exception) -> Response:
    """There is no such path, or not for this method."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = "there is nothing at this path; see /openapi.json"
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"this path does not take {request.method}; see /openapi.json"
    return problem_response(status, detail, error.headers)


class Unavailable:
    """What the answer needs cannot be read now; why is for the log."""

    def __init__(self) -> None:
        self._reminders = Reminders()

    async def answer(self, _request: Request, error: Exception) -> Response:
        self._reminders.tell(Trouble(f"http: {error}"))
        return problem_response(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "what the answer needs cannot be read at this moment; the log says why",
            {"Retry-After": "1"},
        )


async def answer_fault(_request: Request, _error: Exception) -> Response:
    """A fault of ours, of which the asker learns nothing."""
    return problem_response(
        HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of ours; what is known of it is in the log"
    )
