"""How often something may be done: so many times a second, and a second's worth at once.

Of each client one number is kept, the instant at which its allowance will be whole again (GCRA,
the generic cell rate algorithm of ATM).  Whose allowance is whole need not be remembered, so
memory is bounded by who has asked within a second, and by `_MOST`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

# Clients that are remembered at a time: some 10 MB.
_MOST = 50_000

_SECOND = 1_000_000_000  # nanoseconds, of which all instants here are counts


def limit_of(serving: Mapping[str, object], name: str, usual: int) -> int:
    """A limit as a project's `serving` section has it."""
    return cast(Mapping[str, int], serving.get("limits", {})).get(name, usual)


class Allowance(NamedTuple):
    """`remaining` may be asked for at once; more in `wait` seconds, 0 where it was allowed."""

    remaining: int
    wait: float


class Limiter:
    """`rate` a second for each client; its methods may be called from any thread."""

    def __init__(self, rate: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.rate = rate
        self._each = _SECOND // rate
        self._clock = clock
        self._whole_at: OrderedDict[str, int] = OrderedDict()
        self._tidied_at = 0
        self._lock = threading.Lock()

    def take(self, client: str, cost: int = 1) -> Allowance:
        """Use up so much of a client's allowance, if it has as much."""
        return self._take(client, cost, on_credit=False)

    def owe(self, client: str, cost: int) -> Allowance:
        """Use it up in any case: a client that does not have as much waits the longer."""
        return self._take(client, cost, on_credit=True)

    def _take(self, client: str, cost: int, *, on_credit: bool) -> Allowance:
        now = self._clock()
        with self._lock:
            before = max(self._whole_at.pop(client, now), now)
            after = before + min(cost, self.rate) * self._each
            wait = max(0, after - now - _SECOND)
            whole_at = before if wait and not on_credit else after
            if len(self._whole_at) >= _MOST:
                self._make_room(now)
            self._whole_at[client] = whole_at
        left = (_SECOND - (whole_at - now)) // self._each
        return Allowance(max(0, left), wait / _SECOND)

    def _make_room(self, now: int) -> None:
        if now - self._tidied_at > _SECOND:
            self._tidied_at = now
            whole = [name for name, at in self._whole_at.items() if at <= now]
            for name in whole:
                del self._whole_at[name]
        while len(self._whole_at) >= _MOST:  # who has asked longest ago is forgiven
            self._whole_at.popitem(last=False)
