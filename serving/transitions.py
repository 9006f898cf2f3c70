"""`/v1/transitions`: the journal, page by page."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from membership.errors import PositionUnusable
from membership.reader import MembershipReader
from serving.answers import json_response
from serving.parameters import read_cursor, read_limit, read_parameters
from serving.problems import Problem
from serving.scopes import Scope
from serving.selections import PARAMETERS, Selection
from serving.service import Service

_LIMIT, _LIMIT_MOST = 100, 1_000

# So many positions that are searched count as one request.
_A_REQUEST = 5_000


class Transitions:
    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [Route("/v1/transitions", self.page, methods=["GET"])]

    async def page(self, request: Request) -> Response:
        service, admission = self._service, self._service.admission
        grant = await admission.visited(request, Scope.AUDIENCES_READ)
        parameters = read_parameters(request, "after", "limit", *PARAMETERS)
        limit = read_limit(parameters, _LIMIT, _LIMIT_MOST)
        after = read_cursor(parameters["after"], "after") if "after" in parameters else None
        selection = Selection.of(grant, parameters)
        oldest, end = await service.newest.asked(MembershipReader.bounds)
        start = oldest - 1 if after is None else after
        admission.count(request, grant, selection.looks_through(start, end) // _A_REQUEST)
        try:
            page = await selection.read(service, after, limit)
        except PositionUnusable as lost:
            raise Problem(
                HTTPStatus.GONE,
                "the journal does not have what follows that position, or not any more; read the "
                f"members anew and go on from after={lost.first - 1}",
            ) from lost
        return json_response(
            {
                "transitions": [one.record for one in page.entries],
                "next_cursor": str(page.position),
                "has_more": page.position < end,
            }
        )
