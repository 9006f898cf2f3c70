"""Errors as RFC 9457 has them: `application/problem+json`, one sentence for a person to act on."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from connectors.sentences import Trouble
from dataflows.preparation import tell

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
    return Response(_body(status, detail), status, headers, MEDIA_TYPE)


def raw_problem(status: HTTPStatus, detail: str, retry_after: int | None = None) -> bytes:
    """The bytes of an answer after which the connection ends, where no application was asked."""
    body = _body(status, detail)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\n"
        "x-content-type-options: nosniff\r\nconnection: close\r\n"
    )
    if retry_after is not None:
        head += f"retry-after: {retry_after}\r\n"
    return f"{head}\r\n".encode() + body


def _body(status: HTTPStatus, detail: str) -> bytes:
    return msgspec.json.encode(
        {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    )


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
    """What the answer needs cannot be read now; why is for the log, once as long as it is so."""

    def __init__(self) -> None:
        self._said = ""

    async def answer(self, _request: Request, error: Exception) -> Response:
        if str(error) != self._said:
            self._said = str(error)
            tell(Trouble(f"http: {error}"))
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
