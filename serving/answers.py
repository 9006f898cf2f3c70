"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

_ENCODER = msgspec.json.Encoder()


def json_response(
    facts: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(_ENCODER.encode(facts), status, headers, "application/json")
