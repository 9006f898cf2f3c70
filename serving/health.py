"""`/livez` and `/readyz`: whether to restart the process, and whether to ask it anything."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audience_dsl.instants import SECOND
from dataflows.following import wall_clock
from membership.errors import StoreError
from membership.reader import MembershipReader
from serving.answers import json_response
from serving.service import Service

# A job whose clock is further behind (microseconds) tells what is no longer so.
_LAG_MOST = 30 * SECOND


class Health:
    """`of_collector` says why it cannot keep what is sent."""

    def __init__(self, service: Service, of_collector: Callable[[], list[str]]) -> None:
        self._service = service
        self._of_collector = of_collector
        self.routes = [
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    async def livez(self, _request: Request) -> Response:
        return json_response({"status": "alive"})

    def readyz(self, _request: Request) -> Response:
        reasons = self.reasons()
        if not reasons:
            return json_response({"status": "ready"})
        facts = {"status": "not ready", "reasons": reasons}
        return json_response(facts, HTTPStatus.SERVICE_UNAVAILABLE)

    def reasons(self) -> list[str]:
        """Why it is not ready; none if it is."""
        return [*self._of_job(), *self._of_store(), *self._of_collector()]

    def _of_job(self) -> list[str]:
        progress = self._service.progress
        if progress is None:
            return self._of_job_elsewhere()
        if progress.clock is None:
            return ["the job has not begun to evaluate"]
        return _of_clock(progress.clock, has_caught_up=progress.has_caught_up)

    def _of_job_elsewhere(self) -> list[str]:
        try:
            note = self._service.read(MembershipReader.job)
        except StoreError:
            return []  # which is a reason of its own
        if note is None:
            return ["no job evaluates: none has begun to"]
        silent = wall_clock() - note.noted_at
        if silent > _LAG_MOST:
            return [f"no job evaluates: the last one was heard of {silent // SECOND:,} s ago"]
        return _of_clock(note.clock, has_caught_up=note.has_caught_up)

    def _of_store(self) -> list[str]:
        try:
            self._service.read(MembershipReader.end)
        except StoreError:
            return ["the membership store cannot be read"]
        return []


def _of_clock(clock: int, *, has_caught_up: bool) -> list[str]:
    if not has_caught_up:
        return ["the sources have not been read up to the start of the job"]
    lag = wall_clock() - clock
    if lag > _LAG_MOST:
        return [f"the job is {lag // SECOND:,} s behind"]
    return []
