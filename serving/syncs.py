"""`/v1/syncs`: how deliveries stand, and what was said to destinations."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.wall_clock import wall_clock
from delivery.facts import attempt_facts, standing_facts
from delivery.standings import standings
from serving.answers import json_response
from serving.parameters import read_cursor, read_limit, read_parameters
from serving.problems import Problem
from serving.scopes import Scope
from serving.service import Service

_LIMIT, _LIMIT_MOST = 100, 1_000


class Syncs:
    def __init__(self, service: Service) -> None:
        self._service = service
        self.routes = [
            Route("/v1/syncs", self.all, methods=["GET"]),
            Route("/v1/syncs/{sync}/log", self.log, methods=["GET"]),
        ]

    def all(self, request: Request) -> Response:
        self._service.admission.admit(request, Scope.ADMIN)
        read_parameters(request)
        known = self._service.loaded.project.syncs
        ordered = [known[key] for key in sorted(known)]
        found = self._service.read(lambda store: standings(ordered, store, wall_clock()))
        return json_response({"syncs": [standing_facts(one) for one in found]})

    def log(self, request: Request) -> Response:
        self._service.admission.admit(request, Scope.ADMIN)
        sync = str(request.path_params["sync"])
        if sync not in self._service.loaded.project.syncs:
            raise Problem(HTTPStatus.NOT_FOUND, "the project has no sync of this name")
        parameters = read_parameters(request, "limit", "before")
        limit = read_limit(parameters, _LIMIT, _LIMIT_MOST)
        before = read_cursor(parameters["before"], "before") if "before" in parameters else None
        found = self._service.read(lambda store: store.deliveries.attempts(sync, before, limit))
        return json_response(
            {"sync": sync, "attempts": [attempt_facts(sync, *one) for one in found]}
        )
