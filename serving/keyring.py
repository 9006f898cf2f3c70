"""Who asks, and whether they may.

The keys of a store are few, so all are held, and read anew when they are half a second old: a key
that is revoked is refused from then on.  What is not a valid key may just have become one, which is
looked up at once, but not for each of many requests: the same for one that is unknown, wrong,
revoked or expired, so that nobody learns by the time which of these it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool

from connectors.wall_clock import wall_clock
from membership.errors import StoreMissing
from membership.keys import ApiKey
from serving.limits import Limiter
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import Token

# Seconds for which what was read of a known key is believed; and how often in a second it is read
# anew because of keys that are not valid.
_KNOWN = 0.5
_INVALID = 50


class Keyring:
    """The keys that `read` gives, which raises a `StoreError` where it cannot."""

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -_KNOWN
        self._invalid = Limiter(_INVALID)
        self._lock = threading.Lock()

    def find(self, token: Token) -> ApiKey | None:
        """The key of a token, if it is valid; reads the store where what is held is too old.

        Raises:
            StoreError: the keys cannot be read.
        """
        return self._sought(lambda: self._right(token))

    async def found(self, token: Token) -> ApiKey | None:
        """The same on an event loop: a thread is asked only when what is held does not do."""
        known = self._right(token) if self._is_fresh else None
        return known or await run_in_threadpool(self.find, token)

    def find_id(self, id: str) -> ApiKey | None:
        """The key of that id, if it is valid.

        Raises:
            StoreError: the keys cannot be read.
        """
        return self._sought(lambda: _valid(self._keys.get(id)))

    async def found_id(self, id: str) -> ApiKey | None:
        """The same on an event loop."""
        known = _valid(self._keys.get(id)) if self._is_fresh else None
        return known or await run_in_threadpool(self.find_id, id)

    @staticmethod
    def check(key: ApiKey | None, scopes: Sequence[Scope]) -> ApiKey:
        """The key, if it has one of the scopes.

        Raises:
            Problem: there is none, or it does not allow this.
        """
        if key is None:
            raise unauthorized(
                "the key is mistyped, unknown, revoked or expired; see usher keys list"
            )
        if Scope.ADMIN not in key.scopes and not set(scopes) & set(key.scopes):
            wanted = " or ".join(scopes)
            raise Problem(HTTPStatus.FORBIDDEN, f"this needs a key with the scope {wanted}")
        return key

    def _right(self, token: Token) -> ApiKey | None:
        key = self._keys.get(token.id)
        is_right = token.is_of(None if key is None else key.digest)
        return _valid(key) if is_right else None

    @property
    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= _KNOWN

    def _sought(self, find: Callable[[], ApiKey | None]) -> ApiKey | None:
        with self._lock:
            self._renew(_KNOWN)
            key = find()
            if key is None and not self._invalid.take("").wait:
                self._renew(0)
                key = find()
            return key

    def _renew(self, seconds: float) -> None:
        """Read them anew if what is held is older."""
        now = time.monotonic()
        if now - self._read_at > seconds:
            try:
                self._keys = {key.id: key for key in self._read()}
            except StoreMissing:  # before the first start of a job: nobody has a key
                self._keys = {}
            self._read_at = now


def unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


def _valid(key: ApiKey | None) -> ApiKey | None:
    return key if key is not None and key.is_valid(wall_clock()) else None
