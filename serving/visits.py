"""`/v1/tokens`: a token for the browser of one user, for who has a key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audience_dsl.instants import SECOND, format_instant
from connectors.wall_clock import wall_clock
from serving.answers import json_response
from serving.bodies import decode_body, read_body
from serving.parameters import read_parameters
from serving.problems import Problem
from serving.scopes import Scope
from serving.service import Service
from serving.visitors import Visitor

_LONGEST = 1_024  # characters of a user's id: the token is to stand in a path


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """`expires_in` is in seconds."""

    parent_model: str
    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST)]
    expires_in: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 3_600


class Visits:
    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [Route("/v1/tokens", self.make, methods=["POST"])]

    async def make(self, request: Request) -> Response:
        grant = await self._service.admission.admitted(request, Scope.AUDIENCES_READ)
        read_parameters(request)
        wanted = decode_body(
            await read_body(request),
            Wanted,
            'a JSON object such as {"parent_model": "users", "user_id": "u1"}',
        )
        if wanted.parent_model not in self._service.plans:
            raise Problem(HTTPStatus.NOT_FOUND, "the project has no parent model of this name")
        expires_at = wall_clock() + round(wanted.expires_in * SECOND)
        visitor = Visitor(grant.key.id, expires_at, wanted.parent_model, wanted.user_id)
        token = self._service.admission.visitors.token(visitor)
        facts = {"token": token, "expires_at": format_instant(expires_at)}
        return json_response(facts, HTTPStatus.CREATED)
