"""A courier drives one lane: reads for it, sends what it says, and tells it what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from connectors.destinations.destination import Answer, Destination, Exchange, Outcome, Verdict
from connectors.discretion import fault
from connectors.sentences import Trouble
from delivery.batch import Batch
from delivery.feed import Feed
from delivery.lane import Lane
from membership.errors import StoreUnavailable

_X = TypeVar("_X")

# Seconds until the store is asked again that could not be read.
_PAUSE = 1.0

# Seconds that a destination may take to let go.
_CLOSING = 2.0


class Apart(Protocol):
    """Carries out a call that may block, in another thread."""

    async def __call__(self, call: Callable[[], _X]) -> _X: ...


class Courier:
    """Lives on one event loop.

    Args:
        clock: Microseconds, never going back.
        draw: A random number from [0, 1).
        tell: Given sentences for people.
    """

    def __init__(
        self,
        lane: Lane,
        destination: Destination,
        feed: Feed,
        apart: Apart,
        clock: Callable[[], int],
        draw: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self.lane = lane
        self._destination = destination
        self._feed = feed
        self._apart = apart
        self._clock = clock
        self._draw = draw
        self._tell = tell
        self._roused = asyncio.Event()
        self._requests: set[asyncio.Task[None]] = set()

    def rouse(self) -> None:
        """There may be something to do."""
        self._roused.set()

    async def run(self) -> None:
        """Until it is cancelled; it may be called again when it has raised something.

        What it has read is in the lane, so it goes on behind that.

        Raises:
            StoreError: the journal cannot be read.
        """
        while True:
            self._roused.clear()
            try:
                fed = await self._read()
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE)
                continue
            self._send()
            if not fed:
                await self._rest()

    async def close(self) -> None:
        """Give up what is on its way, and let go of the destination."""
        for one in self._requests:
            one.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        try:
            await asyncio.wait_for(self._destination.close(), _CLOSING)
        except TimeoutError:
            self._tell(Trouble(f"sync '{self.lane.key}': its destination does not let go"))
        except Exception as error:  # noqa: BLE001  others are to be closed as well
            self._tell(Trouble(f"sync '{self.lane.key}': {_fault(error)}"))

    async def _read(self) -> bool:
        """Whether there was anything to read."""
        lane, feed = self.lane, self._feed
        fed = False
        if feed.end > lane.position and lane.wants_journal:
            entries, position = await self._apart(partial(feed.page, lane.position))
            lane.read(entries, position, self._clock())
            fed = True
        population = lane.population
        if population is not None and lane.wants_members:
            entries, after = await self._apart(partial(feed.members, population))
            # It may have been begun anew meanwhile.
            if lane.population == population:
                lane.read_members(entries, after, self._clock())
            fed = True
        return fed

    def _send(self) -> None:
        while (batch := self.lane.next_batch(self._clock())) is not None:
            task = asyncio.create_task(self._request(batch))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    async def _request(self, batch: Batch) -> None:
        messages = batch.messages
        try:
            answer = await self._destination.send(messages)
        except Exception as error:  # noqa: BLE001  a destination's fault is not to harm others
            answer = _unclear(_fault(error), len(messages))
        if len(answer.outcomes) != len(messages):
            wrong = f"{len(answer.outcomes)} outcomes of {len(messages)} messages"
            answer = _unclear(f"a fault of the destination's: {wrong}", len(messages))
        self.lane.answered(batch, answer, self._clock(), self._draw())
        for sentence in self.lane.news:
            self._tell(sentence)
        self.lane.news.clear()
        self._send()
        self._roused.set()

    async def _rest(self) -> None:
        """Until there is something to do."""
        now = self._clock()
        due = self.lane.due(now)
        alarm = None
        if due is not None:
            seconds = max(0.0, (due - now) / 1e6)
            alarm = asyncio.get_running_loop().call_later(seconds, self._roused.set)
        await self._roused.wait()
        if alarm is not None:
            alarm.cancel()


def _unclear(reason: str, messages: int) -> Answer:
    return Answer([Outcome(Verdict.RETRY, reason)] * messages, Exchange(""))


def _fault(error: Exception) -> str:
    return f"a fault of the destination's: {fault(error)}"
