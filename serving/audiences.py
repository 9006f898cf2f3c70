"""`/v1/audiences`: which audiences users are in, in the shape of Hightouch's API."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import serving.paths  # noqa: F401  what ids may be in a path
from serving.admission import GIVEN_TOKEN
from serving.answers import json_response
from serving.bodies import decode_body, read_body
from serving.memberships import Memberships
from serving.parameters import check_known, read_list, read_parameters
from serving.scopes import Scope
from serving.service import Service

USERS_MOST = 1_000
_BYTES_MOST = 1 << 20

# So many users of a batch count as one request.
_USERS_A_REQUEST = 50

_INCLUDED = ("details",)


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a question about many; an integer is its text, as in events and in warehouses."""

    user_ids: Annotated[list[str | int], msgspec.Meta(max_length=USERS_MOST)]
    include: list[str] = []


class Audiences:
    def __init__(self, service: Service, memberships: Memberships) -> None:
        self._service = service
        self._memberships = memberships
        path = "/v1/audiences/{parent_model}"
        self.routes = [
            Route(path, self.of_many, methods=["POST"]),
            Route(f"{path}/{{user_id:text}}", self.of_user, methods=["GET"]),
        ]

    async def of_user(self, request: Request) -> Response:
        grant = await self._service.admission.visited(request, Scope.AUDIENCES_READ)
        parent, plan = self._service.plan(request)
        parameters = read_parameters(request, "include", GIVEN_TOKEN)
        included = read_list(parameters, "include")
        check_known(included, "include", _INCLUDED)
        user_id = str(request.path_params["user_id"])
        grant.check_user(parent, user_id)
        told = self._memberships.detailed if included else self._memberships.shown
        (user,) = await told(grant, plan, [user_id])
        return json_response(user)

    async def of_many(self, request: Request) -> Response:
        admission = self._service.admission
        grant = await admission.admitted(request, Scope.AUDIENCES_READ)
        parent, plan = self._service.plan(request)
        parameters = read_parameters(request, "include")
        body = await read_body(request, _BYTES_MOST)
        asked = decode_body(body, Asked, 'a JSON object such as {"user_ids": ["u1", "u2"]}')
        included = [*read_list(parameters, "include"), *asked.include]
        check_known(included, "include", _INCLUDED)
        admission.count(request, grant, len(asked.user_ids) // _USERS_A_REQUEST)
        told = self._memberships.detailed if included else self._memberships.shown
        users = await told(grant, plan, list(map(str, asked.user_ids)))
        return json_response({"parent_model_id": parent, "users": users})
