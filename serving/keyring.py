"""Who asks, and whether they may.

The keys of a store are few, so all are held, and read anew when they are half a second old: a key
that is revoked is refused from then on.  One that is not known may have just been made, which is
looked up at once, but not for each of many requests.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.requests import Request

from dataflows.following import wall_clock
from membership.errors import StoreMissing
from membership.keys import ApiKey
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import Token, read_token

# Seconds for which what was read is believed: of keys that are known, and of those that are not.
_KNOWN = 0.5
_UNKNOWN = 0.05

_ASK = {"WWW-Authenticate": "Bearer"}


class Keyring:
    """The keys that `read` gives, which raises a `StoreError` where it cannot."""

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -_KNOWN
        self._lock = threading.Lock()

    def admit(self, request: Request, *scopes: Scope) -> ApiKey:
        """The key of a request that has one of the scopes.

        Raises:
            Problem: there is none, or it does not allow this.
            StoreError: the keys cannot be read.
        """
        how, _, given = request.headers.get("authorization", "").partition(" ")
        if how.lower() != "bearer" or not given:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send a key as Authorization: Bearer KEY; usher keys create makes one",
                _ASK,
            )
        token = read_token(given.strip())
        key = None if token is None else self._find(token)
        if key is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "the key is mistyped, unknown, revoked or expired; see usher keys list",
                _ASK,
            )
        if Scope.ADMIN not in key.scopes and not set(scopes) & set(key.scopes):
            wanted = " or ".join(scopes)
            raise Problem(HTTPStatus.FORBIDDEN, f"this needs a key with the scope {wanted}")
        return key

    def _find(self, token: Token) -> ApiKey | None:
        with self._lock:
            key = self._believed(_KNOWN).get(token.id) or self._believed(_UNKNOWN).get(token.id)
        is_right = token.is_of(None if key is None else key.digest)
        return key if is_right and key is not None and key.is_valid(wall_clock()) else None

    def _believed(self, seconds: float) -> dict[str, ApiKey]:
        now = time.monotonic()
        if now - self._read_at > seconds:
            try:
                self._keys = {key.id: key for key in self._read()}
            except StoreMissing:  # before the first start of a job: nobody has a key
                self._keys = {}
            self._read_at = now
        return self._keys
