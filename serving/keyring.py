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

from dataflows.following import wall_clock
from membership.errors import StoreMissing
from membership.keys import ApiKey
from serving.limits import Limiter
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import Token

# Seconds for which what was read of a known key is believed; and how often in a second it is read
# anew because of keys that are not known.
_KNOWN = 0.5
_UNKNOWN = 50


class Keyring:
    """The keys that `read` gives, which raises a `StoreError` where it cannot."""

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self._keys: dict[str, ApiKey] = {}
        self._read_at = -_KNOWN
        self._unknown = Limiter(_UNKNOWN)
        self._lock = threading.Lock()

    def find(self, token: Token) -> ApiKey | None:
        """The key of a token, if it is valid; reads the store where what is held is too old.

        Raises:
            StoreError: the keys cannot be read.
        """
        return self._right(token, self._held(token.id))

    def known(self, token: Token) -> ApiKey | None:
        """The same from what is held alone: `None` if that is too old, or knows of none."""
        return self._right(token, self._keys.get(token.id)) if self._is_fresh else None

    def find_id(self, id: str) -> ApiKey | None:
        """The key of that id, if it is valid.

        Raises:
            StoreError: the keys cannot be read.
        """
        return _valid(self._held(id))

    def known_id(self, id: str) -> ApiKey | None:
        """The same from what is held alone."""
        return _valid(self._keys.get(id)) if self._is_fresh else None

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

    @staticmethod
    def _right(token: Token, key: ApiKey | None) -> ApiKey | None:
        is_right = token.is_of(None if key is None else key.digest)
        return _valid(key) if is_right else None

    @property
    def _is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= _KNOWN

    def _held(self, id: str) -> ApiKey | None:
        with self._lock:
            key = self._believed(_KNOWN).get(id)
            if key is None and not self._unknown.take("").wait:
                key = self._believed(0).get(id)
            return key

    def _believed(self, seconds: float) -> dict[str, ApiKey]:
        now = time.monotonic()
        if now - self._read_at > seconds:
            try:
                self._keys = {key.id: key for key in self._read()}
            except StoreMissing:  # before the first start of a job: nobody has a key
                self._keys = {}
            self._read_at = now
        return self._keys


def unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


def _valid(key: ApiKey | None) -> ApiKey | None:
    return key if key is not None and key.is_valid(wall_clock()) else None
