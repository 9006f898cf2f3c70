"""What of the journal somebody wants, of what they may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from engine.records import TransitionRecord
from membership.facts import JournalPage
from membership.reader import MembershipReader
from serving.admission import GIVEN_TOKEN, Grant
from serving.problems import Problem
from serving.service import Service

# Behind the ? of what reads the journal.
PARAMETERS = ("audience", "parent_model", "user_id", GIVEN_TOKEN)

# Positions that are looked through for rare transitions, before others have their turn.
_WITHIN = 50_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Without a name, all of them."""

    grant: Grant
    audience: str | None
    parent_model: str | None
    user_id: str | None

    @classmethod
    def of(cls, grant: Grant, parameters: Mapping[str, str]) -> Selection:
        """Raises Problem: the grant does not allow as much."""
        audience, parent_model, user_id = (
            parameters.get(name) for name in ("audience", "parent_model", "user_id")
        )
        if audience is not None and not grant.allows(audience):
            raise Problem(HTTPStatus.FORBIDDEN, "the key does not allow this audience")
        one = grant.visitor
        if one is not None:
            parent_model = one.parent_model if parent_model is None else parent_model
            user_id = one.user_id if user_id is None else user_id
            grant.check_user(parent_model, user_id)
        return cls(grant, audience, parent_model, user_id)

    def has(self, record: TransitionRecord) -> bool:
        return (
            (self.user_id is None or record.user_id == self.user_id)
            and (self.audience is None or record.audience == self.audience)
            and (self.parent_model is None or record.parent_model == self.parent_model)
            and self.grant.allows(record.audience)
        )

    def looks_through(self, start: int, end: int) -> int:
        """How many of the positions in between a page is searched for at most, beside its own."""
        is_search = self.audience is not None or self.user_id is not None
        return max(0, min(end - start, _WITHIN)) if is_search else 0

    async def read(self, service: Service, after: int | None, limit: int) -> JournalPage:
        """The next ones after a position, or none yet, but the position has gone on.

        Raises:
            PositionUnusable: the journal does not have them.
            StoreError: the journal cannot be read.
        """
        ask = partial(
            MembershipReader.transitions,
            after=after,
            limit=limit,
            audience=self.audience,
            user_id=self.user_id,
            within=_WITHIN,
        )
        page = await service.journal.asked(ask)
        return JournalPage([one for one in page.entries if self.has(one.record)], page.position)
