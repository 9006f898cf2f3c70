"""Rate limits: at most so many within any so many seconds, several of them at once.

When each of the last ones went out is remembered, so no window is ever exceeded, wherever it is
laid.  Of a window that takes very many, some share one entry with the instant of the last of them:
that errs on the side of fewer, and keeps memory small.

A process that ends in order leaves behind what it remembers.  Of one that was killed nobody knows
how much it sent at last: then it is taken to have been as much as a window takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from connectors.destinations.destination import Window

_ENTRIES = 1_000

# How many went out, at which instant at the latest; in order.
Sent = Sequence[tuple[int, int]]


class Windows:
    """Those of one destination."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = [_Window(one) for one in windows]

    def room(self, now: int) -> int | None:
        """How many may go out at this instant; `None` is any number."""
        return min((one.room(now) for one in self._windows), default=None)

    def take(self, count: int, now: int) -> None:
        """So many go out."""
        for one in self._windows:
            one.take(count, now)

    def opens(self, now: int) -> int:
        """The first instant at which one may go out; now, if there is room."""
        return max((one.opens(now) for one in self._windows), default=now)

    @property
    def sent(self) -> Sent:
        """What still counts, or lately did."""
        longest = max(self._windows, key=lambda one: one.length, default=None)
        return [] if longest is None else [(at, count) for at, count in longest.taken]

    def go_on(self, sent: Sent | None, now: int) -> None:
        """Count what went out before there were these; `None`: nobody knows."""
        for one in self._windows:
            for at, count in [(now, one.room(now))] if sent is None else sent:
                one.take(count, min(at, now))


class _Window:
    def __init__(self, window: Window) -> None:
        self.length = round(window.seconds * 1_000_000)
        self._shared = max(1, window.count // _ENTRIES)
        self._left = window.count
        self.taken: deque[list[int]] = deque()  # [instant of the last of them, how many]

    def room(self, now: int) -> int:
        while self.taken and self.taken[0][0] + self.length <= now:
            self._left += self.taken.popleft()[1]
        # Less than nothing is left where definitions have made it narrower.
        return max(0, self._left)

    def take(self, count: int, now: int) -> None:
        self._left -= count
        if self.taken and self.taken[-1][1] + count <= self._shared:
            self.taken[-1][0] = now
            self.taken[-1][1] += count
        else:
            self.taken.append([now, count])

    def opens(self, now: int) -> int:
        return now if self.room(now) > 0 else self.taken[0][0] + self.length
