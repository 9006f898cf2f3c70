"""`/v1/warehouse`: how fresh audiences are, which pulls there were, and a pull on demand."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audience_dsl.instants import format_instant
from connectors.wall_clock import wall_clock
from schedules.facts import freshness_facts, pull_facts, states_of
from schedules.freshness import freshness_of
from serving.answers import json_response
from serving.bodies import decode_body, read_body
from serving.parameters import read_limit, read_parameters
from serving.scopes import Scope
from serving.service import Service
from warehouse.refresh import history_of

_READ = (Scope.AUDIENCES_READ, Scope.WAREHOUSE_PULL)
_LIMIT, _LIMIT_MOST = 100, 1_000


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of a pull: `full` reads all rows, also where fewer would do."""

    full: bool = False


class Warehouse:
    def __init__(self, service: Service) -> None:
        self._service = service
        path = "/v1/warehouse/{parent_model}"
        self.routes = [
            Route(path, self.freshness, methods=["GET"]),
            Route(f"{path}/pulls", self.pulls, methods=["GET"]),
            Route(f"{path}/pulls", self.pull, methods=["POST"]),
        ]

    def freshness(self, request: Request) -> Response:
        grant = self._service.admission.admit(request, *_READ)
        parent, plan = self._service.plan(request)
        read_parameters(request)
        found = freshness_of(self._service.loaded.root, plan, wall_clock())
        audiences = [
            {"audience": audience, "state": state}
            for audience, state in states_of(plan, found).items()
            if grant.allows(audience)
        ]
        facts = {
            **freshness_facts(parent, found),
            "is_refreshing": found.is_refreshing,
            "is_stale": found.is_stale,
            "audiences": audiences,
        }
        return json_response(facts)

    def pulls(self, request: Request) -> Response:
        self._service.admission.admit(request, *_READ)
        parent, plan = self._service.plan(request)
        limit = read_limit(read_parameters(request, "limit"), _LIMIT, _LIMIT_MOST)
        known = history_of(self._service.loaded.root, plan.parent_model).pulls()
        newest = known[::-1][:limit]
        return json_response({"parent_model": parent, "pulls": [pull_facts(one) for one in newest]})

    async def pull(self, request: Request) -> Response:
        await self._service.admission.admitted(request, Scope.WAREHOUSE_PULL)
        parent, _ = self._service.plan(request)
        read_parameters(request)
        wanted = _wanted(await read_body(request))
        asked_at = wall_clock()
        is_new = self._service.pulls.ask(parent, full=wanted.full)
        facts = {
            "parent_model": parent,
            "asked_at": format_instant(asked_at),
            "joined": not is_new,
        }
        headers = {"Location": f"/v1/warehouse/{parent}/pulls"}
        return json_response(facts, HTTPStatus.ACCEPTED, headers)


def _wanted(body: bytes) -> Wanted:
    if not body:
        return Wanted()
    return decode_body(body, Wanted, 'a JSON object such as {"full": true}, or nothing')
