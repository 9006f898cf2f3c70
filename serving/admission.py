"""Who asks, how often, and for whom: what every question of the APIs has to pass.

The address comes first, so that wrong keys cost little; then the key, or a token that was made
with one; then how often that key, or the token's user, has asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, cast

from starlette.requests import Request

from connectors.wall_clock import wall_clock
from membership.keys import ApiKey
from serving.clients import address_of, client_of
from serving.guard import add_header
from serving.keyring import Keyring, unauthorized
from serving.limits import Allowance, Limiter, limit_of
from serving.origins import Origins
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import bearer_of, read_token
from serving.visitors import Visitor, Visitors

_RATE = 2_000

# Of one user's tokens: a page asks a few times when it begins.
_RATE_OF_VISITORS = 20

# Behind the ? of what a browser asks that can send no headers.
GIVEN_TOKEN = "token"  # noqa: S105  its name


class Grant(NamedTuple):
    """What an asker may see: all that its key may, or of that one user's alone."""

    key: ApiKey
    visitor: Visitor | None = None

    @property
    def asker(self) -> str:
        """Who is counted: a key, or each user that it has made tokens of."""
        one = self.visitor
        return self.key.id if one is None else f"{one.key} {one.parent_model} {one.user_id}"

    def allows(self, audience: str) -> bool:
        return self.key.audiences is None or audience in self.key.audiences

    def check_user(self, parent_model: str, user_id: str) -> None:
        """Raises Problem: the token is another user's."""
        one = self.visitor
        if one is not None and (one.parent_model, one.user_id) != (parent_model, user_id):
            raise Problem(HTTPStatus.FORBIDDEN, "the token is of another user")


class Admission:
    """By a project's `serving` section; its methods may be called from any thread."""

    def __init__(self, options: Mapping[str, object], root: Path, keyring: Keyring) -> None:
        self._keyring = keyring
        self._of_keys = Limiter(limit_of(options, "per_key", _RATE))
        self._of_visitors = Limiter(_RATE_OF_VISITORS)
        self._of_addresses = Limiter(limit_of(options, "per_address", _RATE))
        self._behind_proxy = bool(options.get("behind_proxy"))
        self.origins = Origins(cast(list[str], options.get("allow_origins", [])))
        self.visitors = Visitors(root)

    def admit(self, request: Request, *scopes: Scope) -> Grant:
        """What a request is allowed whose key has one of the scopes, and may ask once more.

        Raises:
            Problem: there is none, it does not allow this, or it has asked too often.
            StoreError: the keys cannot be read.
        """
        self._knock(request)
        token = read_token(_bearer(request))
        key = self._keyring.check(None if token is None else self._keyring.find(token), scopes)
        return self._counted(request, Grant(key))

    async def admitted(self, request: Request, *scopes: Scope) -> Grant:
        """The same on the event loop; a thread is asked only when what is known is too old.

        Raises:
            As `admit`.
        """
        self._knock(request)
        return await self._shown(request, _bearer(request), scopes)

    async def visited(self, request: Request, *scopes: Scope) -> Grant:
        """The same for what a visitor may ask for as well, by a token.

        Raises:
            As `admit`.
            OSError: tokens cannot be checked.
        """
        self._knock(request)
        in_path = request.query_params.get(GIVEN_TOKEN)
        given = _bearer(request) if in_path is None else in_path
        visitor = self.visitors.read(given)
        if visitor is not None:
            key = await self._current(visitor.key, visitor, scopes)
            return self._counted(request, Grant(key, visitor))
        if in_path is not None:
            raise unauthorized("the token is mistyped or not of this project; make another")
        return await self._shown(request, given, scopes)

    async def _shown(self, request: Request, given: str, scopes: Sequence[Scope]) -> Grant:
        token = read_token(given)
        found = None if token is None else await self._keyring.found(token)
        return self._counted(request, Grant(self._keyring.check(found, scopes)))

    async def still_holds(self, grant: Grant, *scopes: Scope) -> bool:
        """Whether a grant allows by now what it has allowed, for what goes on for long.

        Raises:
            StoreError: the keys cannot be read.
        """
        try:
            await self._current(grant.key.id, grant.visitor, scopes)
        except Problem:
            return False
        return True

    async def _current(self, id: str, visitor: Visitor | None, scopes: Sequence[Scope]) -> ApiKey:
        if visitor is not None and wall_clock() >= visitor.expires_at:
            raise unauthorized("the token has expired; make another")
        return self._keyring.check(await self._keyring.found_id(id), scopes)

    def _knock(self, request: Request) -> None:
        self.origins.admit(request)
        address = address_of(request.scope, is_behind_proxy=self._behind_proxy)
        _pass(request, self._of_addresses, "address", client_of(address), 1)

    def count(self, request: Request, grant: Grant, cost: int) -> None:
        """Let a request count as so many more, but never as more than may be asked at once.

        Raises:
            Problem: its asker has asked too often.
        """
        limiter, whose = self._limiter(grant)
        if cost:
            left = _pass(request, limiter, whose, grant.asker, min(cost, limiter.rate - 1))
            _tell(request, limiter, whose, left.remaining)

    def owe(self, request: Request, grant: Grant, cost: int) -> None:
        """Let an answer count as so many requests more: for those, the next ones wait."""
        limiter, whose = self._limiter(grant)
        if cost > 0:
            _tell(request, limiter, whose, limiter.owe(grant.asker, cost).remaining)

    def _counted(self, request: Request, grant: Grant) -> Grant:
        limiter, whose = self._limiter(grant)
        _tell(request, limiter, whose, _pass(request, limiter, whose, grant.asker, 1).remaining)
        return grant

    def _limiter(self, grant: Grant) -> tuple[Limiter, str]:
        """And of whom it is: what visitors do is not to keep their key from asking."""
        return (self._of_keys, "key") if grant.visitor is None else (self._of_visitors, "visitor")


def _bearer(request: Request) -> str:
    """What the request shows.

    Raises:
        Problem: nothing.
    """
    given = bearer_of(request.headers.get("authorization", ""))
    if not given:
        raise unauthorized("send a key as Authorization: Bearer KEY; usher keys create makes one")
    return given


def _pass(request: Request, limiter: Limiter, whose: str, client: str, cost: int) -> Allowance:
    left = limiter.take(client, cost)
    if left.wait:
        _tell(request, limiter, whose, left.remaining)
        seconds = math.ceil(left.wait)
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"this {whose} may ask {limiter.rate:,} times a second; come back in {seconds} s",
            {"Retry-After": str(seconds)},
        )
    return left


def _tell(request: Request, limiter: Limiter, whose: str, remaining: int) -> None:
    add_header(request, "ratelimit-policy", f'"{whose}";q={limiter.rate};w=1')
    add_header(request, "ratelimit", f'"{whose}";r={remaining};t=1')
