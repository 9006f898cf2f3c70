"""Which sites' pages may ask from a browser (CORS): exactly those that `allow_origins` names.

Credentials of the browser's own, cookies for instance, are never asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import serving.paths  # noqa: F401  what may be the rest of a path
from serving.guard import add_header

_PATHS = (
    "/v1/audiences/{rest:text}",
    "/v1/collections/{rest:text}",
    "/v1/transitions",
    "/v1/stream",
)
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access-Control-Max-Age": "7200",
}


class Origins:
    """Without any, nothing is said about it, and browsers allow nothing."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)
        paths = _PATHS if allowed else ()
        self.routes = [Route(path, self.preflight, methods=["OPTIONS"]) for path in paths]

    async def preflight(self, request: Request) -> Response:
        """What a browser asks before it sends a header that is not usual."""
        self.admit(request)
        return Response(status_code=204, headers=_PREFLIGHT)

    def admit(self, request: Request) -> None:
        """Let the page see the answer, whatever that will be, if it is one of those sites'."""
        if not self._allowed:
            return
        add_header(request, "vary", "Origin")
        origin = request.headers.get("origin", "")
        if origin in self._allowed:
            add_header(request, "access-control-allow-origin", origin)
            add_header(request, "access-control-expose-headers", "RateLimit, Retry-After")
