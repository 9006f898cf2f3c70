"""Who is in what, as the APIs tell it: what the journal has accepted, of audiences there are now.

What one user needs is a few rows that lie together: SQLite has them in less time than a thread
takes to be woken, so they are read on the event loop, and in a thread where the store is a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from audience_dsl.definitions import ParentPlan
from audience_dsl.instants import format_instant
from connectors.wall_clock import wall_clock
from dataflows.questions import Forecast
from engine.forecasts import Foreseen
from engine.hashing import stable_hashes
from engine.texts import Texts
from membership.facts import Membership
from membership.reader import MembershipReader
from project.stores import is_local
from schedules.facts import freshness_facts, states_of
from schedules.freshness import freshness_of
from serving.admission import Grant
from serving.service import Service

# Seconds for which the job is waited for, which has an answer every twentieth of a second.
_PATIENCE = 0.25

# Users whose rows are read on the event loop: more take longer than a thread takes.
_AT_ONCE = 50

_X = TypeVar("_X")


class Memberships:
    def __init__(self, service: Service) -> None:
        self._service = service
        # The kernel is loaded here: that takes as long as a thousand answers.
        stable_hashes(Texts.of([""]))

    async def audiences(
        self, grant: Grant, plan: ParentPlan, user_ids: Sequence[str]
    ) -> list[list[str]]:
        """The audiences of each user that the project has and the asker may see, sorted."""
        parent = plan.parent_model.key
        known = {one.key for one in plan.plan.audiences if grant.allows(one.key)}
        found = await self._read(len(user_ids), lambda store: store.audiences_of(parent, user_ids))
        return [[one for one in audiences if one in known] for audiences in found]

    async def shown(
        self, grant: Grant, plan: ParentPlan, user_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Each user, in their order, in the shape of Hightouch's API."""
        parent = plan.parent_model.key
        return [
            {"parent_model_id": parent, "user_id": user_id, "audience_ids": audiences}
            for user_id, audiences in zip(
                user_ids, await self.audiences(grant, plan, user_ids), strict=True
            )
        ]

    async def detailed(
        self, grant: Grant, plan: ParentPlan, user_ids: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The same with since when, until when if nothing happens, and how fresh that is.

        The job is asked first: what it has told as of an instant is in the store by then.
        """
        parent = plan.parent_model.key
        forecast = await self._forecast(parent, user_ids)
        # The end of the journal comes first: a stream that goes on from there misses nothing.
        end, rows = await self._read(
            len(user_ids),
            lambda store: (
                store.end(),
                [store.memberships(user_id, parent) for user_id in user_ids],
            ),
        )
        facts, states = await run_in_threadpool(partial(self._freshness, plan))
        versions = {one.key: one.version for one in plan.plan.audiences if grant.allows(one.key)}
        return [
            {
                "parent_model_id": parent,
                "user_id": user_id,
                "audience_ids": [one.audience for one in members],
                "as_of": None if forecast is None else _instant(forecast.clock),
                "cursor": str(end),
                "snapshot": facts["snapshot"],
                "next_pull": facts["next_pull"],
                "audiences": [
                    {
                        "audience_id": one.audience,
                        "audience_version": versions[one.audience],
                        "since": one.since,
                        "sequence": one.sequence,
                        "freshness": states[one.audience],
                        **_next_change(one, foreseen),
                    }
                    for one in members
                ],
            }
            for user_id, found in zip(user_ids, rows, strict=True)
            for members in [[one for one in found if one.audience in versions]]
            for foreseen in [{} if forecast is None else forecast.foreseen[user_id]]
        ]

    async def _forecast(self, parent: str, user_ids: Sequence[str]) -> Forecast | None:
        """What the job foresees, if there is one on this machine and it answers in time."""
        questions = self._service.questions
        if not questions.is_heard or not user_ids:
            return None
        number, future = questions.ask(parent, user_ids)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), _PATIENCE)
        except TimeoutError:
            return None
        finally:
            questions.withdraw(number)

    async def _read(self, users: int, ask: Callable[[MembershipReader], _X]) -> _X:
        if users <= _AT_ONCE and is_local(self._service.loaded):
            return self._service.at_once.read(ask)
        return await self._service.memberships.asked(ask)

    def _freshness(self, plan: ParentPlan) -> tuple[dict[str, Any], Mapping[str, str]]:
        found = freshness_of(self._service.loaded.root, plan, wall_clock())
        return freshness_facts(plan.parent_model.key, found), states_of(plan, found)


def _next_change(member: Membership, foreseen: Mapping[str, Foreseen]) -> dict[str, str | None]:
    """Nothing if it is not known, or was foreseen before the user has entered."""
    one = foreseen.get(member.audience)
    if one is None or one.sequence != member.sequence:
        return {}
    return {"next_change_at": _instant(one.changes_at)}


def _instant(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)
