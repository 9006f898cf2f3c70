"""All deliveries of a process: one thread, one event loop, a courier for each sync.

Once a second, all that the lanes want to be remembered is written down in one transaction.  What a
crash interrupts is sent again from there, with the ids and the bodies that it had.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import uvloop

from audience_dsl.definitions import Sync
from connectors.destinations.destination import Destination
from connectors.destinations.threads import Threads
from connectors.discretion import fault
from connectors.sentences import Alarm, Trouble
from delivery.courier import Courier
from delivery.feed import Feed, Work
from delivery.lane import PARKED, Lane
from delivery.making import Making
from membership.deliveries import Ask, Changes, Population, Request, SyncStatus
from membership.errors import StoreError, StoreUnavailable
from membership.ledger import Ledger
from membership.reader import MembershipReader
from membership.tail import JournalTail

_X = TypeVar("_X")

# Seconds between two times at which the lanes are written down.
_WRITTEN_EVERY = 1.0

_LOOK = 0.02
_ENDING = 10.0

# Seconds until what a fault has ended is begun again; each time twice as many.
_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class Deliveries:
    """Opens destinations when it is made; delivers from `begin` until `close`.

    Args:
        open_destination: Called on the event loop, once a sync.
        tell: Given sentences for people, in any thread.
        failed: Called once, in any thread, when nothing can be delivered any more because the store
            cannot be used; `failure` says why.

    Raises:
        DestinationError: a destination cannot be opened with its settings.
    """

    def __init__(
        self,
        works: Sequence[Work],
        open_destination: Callable[[Sync], Destination],
        tell: Callable[[str], None],
    ) -> None:
        self.failure: StoreError | None = None
        self._works = works
        self._tell = tell
        self._failed: Callable[[], None] = lambda: None
        self._couriers: dict[str, Courier] = {}
        self._ledger: Ledger | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._destinations: dict[str, Destination] = {}
        self._is_news = False
        self._writing = asyncio.Lock()
        # Not the loop's own threads: those are gone when an interpreter that ends says goodbye.
        self._store = Threads("usher-ledger")
        self._journal = Threads("usher-journal", 2)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="usher-delivery", daemon=True
        )
        self._thread.start()
        try:
            self._do(self._open(open_destination))
        except BaseException:
            self.close()
            raise

    def begin(
        self,
        ledger: Ledger,
        reader: MembershipReader,
        tail: JournalTail,
        failed: Callable[[], None],
    ) -> None:
        """Go on from what the ledger remembers; whoever delivered before is refused from now on.

        Raises:
            StoreError: the store cannot be read or written.
        """
        self._failed = failed
        if not self._works:
            return
        ledger.claim()
        self._ledger = ledger
        self._do(self._begin(ledger, reader, tail))
        tail.listen(self._heard)
        self._heard()

    def drain(self, end: int, patience: float) -> None:
        """Return when all up to a position is delivered, or waits, and that is written down.

        Args:
            patience: For so many seconds without any progress it waits.

        Raises:
            StoreError: the store cannot be written.
        """
        if self._couriers:
            self._do(self._drain(end, patience))
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Let go of everything; what is not delivered stays so."""
        if self._loop.is_closed():
            return
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDING)
        if not self._thread.is_alive():
            self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _X]) -> _X:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self, open_destination: Callable[[Sync], Destination]) -> None:
        for work in self._works:
            self._destinations[work.sync.key] = open_destination(work.sync)

    async def _begin(self, ledger: Ledger, reader: MembershipReader, tail: JournalTail) -> None:
        # Nothing is to be guessed from how long somebody waits.
        draw, clock = random.Random().random, _steady_clock()  # noqa: S311
        for work in self._works:
            sync = work.sync
            remembered = await self._store.run(
                partial(ledger.open, sync.key, _members(work, clock()))
            )
            destination = self._destinations[sync.key]
            lane = Lane(sync.key, destination.capacity, remembered, sync.initial_rate)
            lane.go_on(remembered.sent, clock())
            feed = Feed(work, Making(sync, work.profiles, ledger), tail, reader)
            self._couriers[sync.key] = Courier(
                lane, destination, feed, self._journal.run, clock, draw, self._tell
            )
            if lane.state.status in {SyncStatus.PAUSED, SyncStatus.DISABLED}:
                told = f"sync '{sync.key}' is {lane.state.status}: {lane.state.reason}"
                self._tell(Alarm(told))
        for courier in self._couriers.values():
            name = f"sync '{courier.lane.key}'"
            self._tasks.append(asyncio.create_task(self._watched(name, courier.run)))
        keep = partial(self._keep, clock)
        self._tasks.append(asyncio.create_task(self._watched("the ledger", keep)))

    async def _watched(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin work again that a fault has ended, after pauses that grow while it does not last.

        It goes on from what it had come to, and each fault is told of once.
        """
        told: set[str] = set()
        pause = _PAUSE
        while True:
            began = time.monotonic()
            try:
                await work()
            except StoreError as error:
                if self.failure is None:
                    self.failure = error
                    self._failed()
                return
            except Exception as error:  # noqa: BLE001  one lane's fault is not to end the others
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _PAUSE
                what = fault(error)
                if what not in told:
                    told.add(what)
                    # Where the disk is full, it may be the log's as well.
                    with suppress(OSError):
                        sentence = f"{name} is held up by a fault of Usher's, and tried again"
                        self._tell(Alarm(f"{sentence}: {what}"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _heard(self) -> None:
        """In any thread: the journal goes on."""
        if not self._is_news and self._thread.is_alive():
            self._is_news = True
            self._loop.call_soon_threadsafe(self._rouse)

    def _rouse(self) -> None:
        self._is_news = False
        for courier in self._couriers.values():
            courier.rouse()

    async def _keep(self, clock: Callable[[], int]) -> None:
        while True:
            await asyncio.sleep(_WRITTEN_EVERY)
            await self._write(clock())

    async def _write(self, now: int | None = None) -> None:
        """Write down what there is; with an instant, do what was asked for as well."""
        assert self._ledger is not None
        async with self._writing:
            done: list[int] = []
            if now is not None:
                asked = await self._asked()
                done += [one.number for one in asked if await self._is_done(one, now)]
            taken: list[tuple[Lane, Changes]] = []
            try:
                for one in self._couriers.values():
                    if (changes := one.lane.changes()) is not None:
                        # One by one: those before a fault are to be told of it.
                        taken.append((one.lane, changes))  # noqa: PERF401
                if not taken and not done:
                    return
                write = partial(self._ledger.write, [one for _, one in taken], done)
                await self._store.run(write)
            except BaseException as error:
                for lane, _ in taken:
                    lane.unsaved()
                # Others write to it all the time, or whoever records will say what is wrong.
                if not isinstance(error, StoreUnavailable):
                    raise
            else:
                for lane, _ in taken:
                    lane.saved()
        self._rouse()

    async def _asked(self) -> list[Request]:
        assert self._ledger is not None
        try:
            return await self._store.run(self._ledger.requests)
        except StoreUnavailable:
            return []

    async def _is_done(self, request: Request, now: int) -> bool:
        """Do what is asked, or a part of it; whether that was all.

        What is asked of a sync that other definitions have waits for a process with those.
        """
        assert self._ledger is not None
        courier = self._couriers.get(request.sync)
        if courier is None:
            return False
        lane = courier.lane
        match request.kind:
            case Ask.RESUME:
                lane.resume(now)
            case Ask.RESYNC:
                (version,) = [one.version for one in self._works if one.sync.key == lane.key]
                # Whom the first population has not reached yet is still to be sent or withheld.
                under_way = lane.population
                again = under_way is None or under_way.again
                lane.populate(Population(lane.position, version, now, again=again))
            case Ask.REPLAY:
                room = PARKED - lane.parked
                if room <= 0:
                    return False
                letters = await self._store.run(
                    partial(
                        self._ledger.dead_letters,
                        lane.key,
                        limit=room,
                        until=request.asked_at,
                        id=request.letter,
                    )
                )
                for letter in letters:
                    lane.revive(letter)
                return len(letters) < room
        return True

    async def _drain(self, end: int, patience: float) -> None:
        lanes = [one.lane for one in self._couriers.values()]
        seen: list[tuple[int, int]] = []
        deadline = 0.0
        self._rouse()
        while self.failure is None and any(
            one.cursor < end and one.state.status is SyncStatus.RUNNING for one in lanes
        ):
            progress = [(one.cursor, one.state.sent) for one in lanes]
            if progress != seen:
                seen, deadline = progress, time.monotonic() + patience
            elif time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK)
        for lane in lanes:
            if lane.cursor < end:
                self._tell(
                    Trouble(
                        f"sync '{lane.key}': what follows position {lane.cursor} of the journal "
                        "is not delivered yet"
                    )
                )
            elif lane.parked:
                self._tell(f"sync '{lane.key}': {lane.parked:,} transitions wait for another try")
        if self.failure is None:
            await self._write()

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(one.close() for one in self._couriers.values()))
        await self._say_what_was_sent()
        for key, destination in self._destinations.items():
            if key not in self._couriers:
                await destination.close()
        await self._journal.close(_nothing)
        await self._store.close(_nothing)

    async def _say_what_was_sent(self) -> None:
        """For whoever delivers next, who otherwise waits until every limit allows for the worst."""
        if self._ledger is None or self.failure is not None:
            return
        sent = {key: one.lane.sent for key, one in self._couriers.items()}
        with suppress(StoreError):
            await self._store.run(partial(self._ledger.leave, sent))


def _nothing() -> None:
    """Threads that read leave nothing behind."""


def _members(work: Work, now: int) -> Callable[[int], Population | None]:
    def members(position: int) -> Population | None:
        return Population(position, work.version, now) if work.sync.sends_initial else None

    return members


def _steady_clock() -> Callable[[], int]:
    """The wall clock as it is now, which from then on never goes back."""
    began = time.time_ns() - time.monotonic_ns()
    return lambda: (began + time.monotonic_ns()) // 1_000
