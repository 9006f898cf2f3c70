"""What is answered at which path: one application for everybody, one for who watches over it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from membership.errors import StoreError
from serving.answered import Answered
from serving.audiences import Audiences
from serving.certificates import Renewing
from serving.collecting.collector import Collector
from serving.collecting.figures import Figures
from serving.collecting.paths import place_of
from serving.collections import Collections
from serving.guard import Guard
from serving.health import Health
from serving.memberships import Memberships
from serving.metrics import Metrics
from serving.openapi import document
from serving.problems import (
    Problem,
    Unavailable,
    answer_fault,
    answer_problem,
    answer_unroutable,
)
from serving.service import Service
from serving.streams import Streams
from serving.syncs import Syncs
from serving.transitions import Transitions
from serving.visits import Visits
from serving.warehouse import Warehouse


def public_application(service: Service, collector: Collector) -> ASGIApp:
    """What clients send goes to the collector, past all that others need."""
    memberships = Memberships(service)
    routes = [
        *Audiences(service, memberships).routes,
        *Collections(service, memberships).routes,
        *Transitions(service).routes,
        *Streams(service).routes,
        *Visits(service).routes,
        *Syncs(service).routes,
        *Warehouse(service).routes,
        *Health(service, collector.reasons).routes,
        Route("/openapi.json", _openapi, methods=["GET"]),
        *service.admission.origins.routes,
    ]
    others = _application(routes, service.answered)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        place = place_of(scope["path"])
        if place is None:
            await others(scope, receive, send)
        else:
            await collector.answer(place, scope, receive, send)

    return application


def admin_application(
    service: Service, collector: Collector | None, shown: Renewing | None
) -> ASGIApp:
    """Metrics, for whoever reaches its address; health as well, for who may reach no other."""
    health = Health(service, list if collector is None else collector.reasons)
    figures = Figures() if collector is None else collector.figures
    routes = [*health.routes, *Metrics(service, health, figures, shown).routes]
    return _application(routes, Answered())


async def _openapi(_request: Request) -> Response:
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    return msgspec.json.encode(document())


def _application(routes: Sequence[BaseRoute], answered: Answered) -> ASGIApp:
    unavailable = Unavailable()
    handlers = {
        HTTPException: answer_unroutable,
        Problem: answer_problem,
        StoreError: unavailable.answer,
        OSError: unavailable.answer,
        HTTPStatus.INTERNAL_SERVER_ERROR: answer_fault,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, answered)
