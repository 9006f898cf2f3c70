"""Who asks, and whether they may.

The keys of a store are few, so all are held, and read anew when they are half a second old: a key
that is revoked is refused from then on.  What is not a valid key may just have become one, which is
looked up at once, but not for each of many requests: the same for one that is unknown, wrong,
revoked or expired, so that nobody learns by the time which of these it is.

All who wait for the keys wait for one reading, in a thread that nothing else runs in, and are told
if it fails.  They do not wait long: a store that says nothing is not to hold up whoever could be
told so.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple, NoReturn

from connectors.wall_clock import wall_clock
from membership.errors import StoreMissing, StoreUnavailable
from membership.keys import ApiKey
from serving.limits import Limiter
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import Token

# Seconds for which what was read of a known key is believed, and that it could not be read; and how
# often in a second it is read anew because of keys that are not valid.
_KNOWN = 0.5
_INVALID = 50

# Seconds that a reading may take before nobody waits for it any more.
_PATIENCE = 2.0


class Keyring:
    """The keys that `read` gives, which raises a `StoreError` where it cannot."""

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._readings = _Readings(read)
        self._invalid = Limiter(_INVALID)

    def find(self, token: Token) -> ApiKey | None:
        """The key of a token, if it is valid; reads the store where what is held is too old.

        Raises:
            StoreError: the keys cannot be read.
        """
        readings = self._readings
        if not readings.is_fresh:
            readings.under_way().wait()
        key = self._right(token)
        if key is None and self._may_be_new():
            readings.next().wait()
            key = self._right(token)
        return key

    async def found(self, token: Token) -> ApiKey | None:
        """The same on an event loop, which waits only when what is held does not do."""
        return await self._found(lambda: self._right(token))

    async def found_id(self, id: str) -> ApiKey | None:
        """The key of that id, if it is valid, on an event loop.

        Raises:
            StoreError: the keys cannot be read.
        """
        return await self._found(lambda: _valid(self._readings.keys.get(id)))

    async def _found(self, look: Callable[[], ApiKey | None]) -> ApiKey | None:
        readings = self._readings
        if not readings.is_fresh:
            await readings.under_way().waited()
        key = look()
        if key is None and self._may_be_new():
            await readings.next().waited()
            key = look()
        return key

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
        key = self._readings.keys.get(token.id)
        is_right = token.is_of(None if key is None else key.digest)
        return _valid(key) if is_right else None

    def _may_be_new(self) -> bool:
        return not self._invalid.take("").wait


class _Readings:
    """Reads the keys, in one thread, as often as somebody waits for that.

    `keys` are those of the last reading that has succeeded, by id.
    """

    def __init__(self, read: Callable[[], Sequence[ApiKey]]) -> None:
        self._read = read
        self.keys: dict[str, ApiKey] = {}
        self._read_at = -math.inf
        self._failure: _Failure | None = None
        self._under_way: _Reading | None = None
        self._next: _Reading | None = None
        self._lock = threading.Lock()

    @property
    def is_fresh(self) -> bool:
        return time.monotonic() - self._read_at <= _KNOWN

    def under_way(self) -> _Reading:
        """The one that has begun, or else the next."""
        with self._lock:
            return self._under_way or self._awaited()

    def next(self) -> _Reading:
        """One that begins from now on: all who ask before it does share it."""
        with self._lock:
            return self._awaited()

    def _awaited(self) -> _Reading:
        if self._next is None:
            self._next = _Reading()
            if self._under_way is None:
                self._under_way = self._next
                # A thread that hangs holds up no end.
                threading.Thread(target=self._work, name="usher-keys", daemon=True).start()
        return self._next

    def _work(self) -> None:
        """Until nobody waits."""
        while True:
            with self._lock:
                reading, self._next = self._next, None
                self._under_way = reading
            if reading is None:
                return
            reading.end(self._renewed())

    def _renewed(self) -> _Failure | None:
        """Read them, unless that has failed a moment ago; how it has failed."""
        began = time.monotonic()
        if self._failure is not None and began - self._failure.at <= _KNOWN:
            return self._failure
        try:
            self.keys = {key.id: key for key in self._read()}
        except StoreMissing:  # before the first start of a job: nobody has a key
            self.keys = {}
        except Exception as error:  # noqa: BLE001  all who wait are told
            self._failure = _Failure(error, error.__traceback__, time.monotonic())
            return self._failure
        self._failure, self._read_at = None, began
        return None


class _Failure(NamedTuple):
    error: Exception
    place: TracebackType | None
    at: float

    def tell(self) -> NoReturn:
        """Many raise it, and it is to remember the places of none of them."""
        raise self.error.with_traceback(self.place)


class _Reading:
    """One of them, for all who wait for it."""

    def __init__(self) -> None:
        self._due = time.monotonic() + _PATIENCE
        self._end: Future[_Failure | None] = Future()
        # Who does not wait any longer ends it for nobody else.
        self._end.set_running_or_notify_cancel()

    def end(self, failure: _Failure | None) -> None:
        self._end.set_result(failure)

    def wait(self) -> None:
        """Raises what has ended it, or StoreError: it takes too long."""
        try:
            failure = self._end.result(self._left)
        except TimeoutError:
            raise _silent() from None
        if failure is not None:
            failure.tell()

    async def waited(self) -> None:
        """The same on an event loop."""
        try:
            failure = await asyncio.wait_for(asyncio.wrap_future(self._end), self._left)
        except TimeoutError:
            raise _silent() from None
        if failure is not None:
            failure.tell()

    @property
    def _left(self) -> float:
        return max(0.0, self._due - time.monotonic())


def _silent() -> StoreUnavailable:
    return StoreUnavailable(f"the store has not said for {_PATIENCE:.0f} s which keys there are")


def unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


def _valid(key: ApiKey | None) -> ApiKey | None:
    return key if key is not None and key.is_valid(wall_clock()) else None
