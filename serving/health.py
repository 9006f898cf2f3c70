"""`/livez` and `/readyz`: whether to restart the process, and whether to ask it anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from audience_dsl.instants import SECOND
from connectors.wall_clock import wall_clock
from membership.errors import StoreError
from membership.job_note import JobNote
from membership.reader import MembershipReader
from serving.answers import json_response
from serving.service import Service

# A job whose clock is further behind (microseconds) tells what is no longer so.
_LAG_MOST = 30 * SECOND

# Seconds for which the store is believed to be as it was: anybody may ask, as often as they like.
_BELIEVED = 0.5

# Seconds that it may take to say how it is.
_PATIENCE = 2.0


class Health:
    """`of_collector` says why it cannot keep what is sent."""

    def __init__(self, service: Service, of_collector: Callable[[], list[str]]) -> None:
        self._service = service
        self._store = _Store(service)
        self._looking: asyncio.Future[list[str]] | None = None
        self._of_collector = of_collector
        self.routes = [
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
        ]

    async def livez(self, _request: Request) -> Response:
        return json_response({"status": "alive"})

    async def readyz(self, _request: Request) -> Response:
        reasons = [*self._of_job(), *await self._of_store(), *self._of_collector()]
        if not reasons:
            return json_response({"status": "ready"})
        facts = {"status": "not ready", "reasons": reasons}
        return json_response(facts, HTTPStatus.SERVICE_UNAVAILABLE)

    def reasons(self) -> list[str]:
        """Why it is not ready; none if it is."""
        return [*self._of_job(), *self._store.reasons(), *self._of_collector()]

    async def _of_store(self) -> list[str]:
        """It is looked at once at a time, whoever else asks, and nobody waits for it long."""
        if (known := self._store.known) is not None:
            return known
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(run_in_threadpool(self._store.reasons))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), _PATIENCE)
        except TimeoutError:
            return ["the membership store does not answer"]

    def _of_job(self) -> list[str]:
        if self._service.is_draining:
            return ["the job is ending"]
        progress = self._service.progress
        if progress is None:
            return []  # the store has the note of one elsewhere
        if progress.clock is None:
            return ["the job has not begun to evaluate"]
        return _of_clock(progress.clock, has_caught_up=progress.has_caught_up)


class _Store:
    """Why it cannot be read, and what it has of a job elsewhere, as it was found a moment ago."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._found: list[str] = []
        self._found_at = -_BELIEVED

    @property
    def known(self) -> list[str] | None:
        """What was found, if that is not too old."""
        return self._found if time.monotonic() - self._found_at < _BELIEVED else None

    def reasons(self) -> list[str]:
        """What is found now."""
        try:
            if self._service.progress is None:
                found = _of_note(self._service.read(MembershipReader.job))
            else:
                self._service.read(MembershipReader.end)
                found = []
        except StoreError:
            found = ["the membership store cannot be read"]
        self._found, self._found_at = found, time.monotonic()
        return found


def _of_note(note: JobNote | None) -> list[str]:
    if note is None:
        return ["no job evaluates: none has begun to"]
    silent = wall_clock() - note.noted_at
    if silent > _LAG_MOST:
        return [f"no job evaluates: the last one was heard of {silent // SECOND:,} s ago"]
    return _of_clock(note.clock, has_caught_up=note.has_caught_up)


def _of_clock(clock: int, *, has_caught_up: bool) -> list[str]:
    if not has_caught_up:
        return ["the sources have not been read up to the start of the job"]
    lag = wall_clock() - clock
    if lag > _LAG_MOST:
        return [f"the job is {lag // SECOND:,} s behind"]
    return []
