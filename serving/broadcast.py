"""The journal's newest part, for all streams at once.

One task reads what has been added, whoever has added it, and rouses the streams that it concerns.
A stream has no queue, only a place in the journal: one that is behind what is held here reads for
itself.  So memory is the same for one stream and for a thousand, fast or slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import cached_property, partial

import msgspec

from connectors.discretion import fault
from connectors.sentences import Alarm
from membership.errors import PositionUnusable, StoreError
from membership.facts import JournalEntry
from membership.reader import PAGE, MembershipReader
from serving.reminders import Reminders
from serving.selections import Selection
from serving.service import Service

# Seconds between two looks, and between two attempts at a store that cannot be read.
_LOOK = 0.03
_ATTEMPT = 1.0

# Transitions that are held at least, if there were as many.
_HELD = 10_000

_ENCODER = msgspec.json.Encoder()


class Broadcast:
    """Lives on one event loop, but for `end`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.followers: set[Follower] = set()
        self._pages: deque[_Page] = deque()  # without gaps
        self._end: int | None = None  # not known, or a position; 0 before the first
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reminders = Reminders()
        self.has_ended = False

    async def follow(self, selection: Selection, after: int | None) -> Follower:
        """Somebody who follows what comes after a position, or from now on.

        Raises:
            StoreError: the journal cannot be read.
        """
        if after is None:
            after = await self._read_end()
        follower = Follower(self, selection, after)
        self.followers.add(follower)
        if not self._is_looking:
            self._loop = asyncio.get_running_loop()
            self._task = asyncio.create_task(self._look())
        return follower

    @property
    def _is_looking(self) -> bool:
        return self._task is not None and not self._task.done()

    def end(self) -> None:
        """Let all streams end; may be called from any thread."""
        self.has_ended = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rouse_all)

    def _rouse_all(self) -> None:
        for follower in self.followers:
            follower.roused.set()

    async def next_frames(self, follower: Follower) -> list[bytes]:
        """What a follower is to be told next; its position moves on.

        Raises:
            PositionUnusable: the journal does not have it.
            StoreError: the journal cannot be read.
        """
        pages, position, end = self._pages, follower.position, self._end
        if end is None or not pages or not pages[0].first - 1 <= position <= end:
            if position == end and self._is_looking:
                return []
            page = await follower.selection.read(self._service, position, PAGE)
            follower.position = page.position
            return [frame(one) for one in page.entries]
        frames: list[bytes] = []
        for held in pages:
            if held.last > follower.position:
                frames += held.frames(follower.selection, follower.position)
                follower.position = held.last
                if len(frames) >= PAGE:
                    break
        return frames

    async def _look(self) -> None:
        """As long as somebody follows."""
        self._forget()
        while self.followers and not self.has_ended:
            try:
                is_all = await self._take_up()
            except (StoreError, OSError):  # who asks for anything is told
                await asyncio.sleep(_ATTEMPT)
            except Exception as error:  # noqa: BLE001  streams would be silent from now on
                sentence = f"http: a fault of ours while following the journal: {fault(error)}"
                self._reminders.tell(Alarm(sentence))
                self._forget()
                await asyncio.sleep(_ATTEMPT)
            else:
                await asyncio.sleep(_LOOK if is_all else 0)
        self._forget()

    def _forget(self) -> None:
        """Begin anew, with the journal's end."""
        self._pages.clear()
        self._end = None

    async def _take_up(self) -> bool:
        """Whether that was all there is for now."""
        if self._end is None:
            self._end = await self._read_end()
            self._rouse_all()
        ask = partial(MembershipReader.transitions, after=self._end)
        try:
            found = (await self._service.newest.asked(ask)).entries
        except PositionUnusable:  # so much was added meanwhile, or it is another journal
            self._forget()
            return False
        if found:
            self._add(_Page(found))
        return len(found) < PAGE

    def _add(self, page: _Page) -> None:
        self._pages.append(page)
        held = sum(len(one) for one in self._pages)
        while held - len(self._pages[0]) >= _HELD:
            held -= len(self._pages.popleft())
        before, self._end = self._end, page.last
        for follower in self.followers:
            if follower.position == before and not page.concerns(follower.selection):
                follower.position = page.last
            else:
                follower.roused.set()

    async def _read_end(self) -> int:
        return await self._service.newest.asked(MembershipReader.end)


class Follower:
    """One stream's place: it was told all that it wants up to `position`."""

    def __init__(self, broadcast: Broadcast, selection: Selection, position: int) -> None:
        self.selection = selection
        self.position = position
        self.roused = asyncio.Event()
        self._broadcast = broadcast
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        return self._has_ended or self._broadcast.has_ended

    def end(self) -> None:
        self._has_ended = True
        self.roused.set()

    async def next_frames(self) -> list[bytes]:
        """See `Broadcast.next_frames`."""
        return await self._broadcast.next_frames(self)

    def leave(self) -> None:
        self._broadcast.followers.discard(self)


class _Page:
    """Transitions from the position `first` to `last`, found by user and by audience."""

    def __init__(self, entries: list[JournalEntry]) -> None:
        self._entries = entries
        self._frames: dict[int, bytes] = {}
        self.first, self.last = entries[0].position, entries[-1].position

    def __len__(self) -> int:
        return len(self._entries)

    def concerns(self, selection: Selection) -> bool:
        return any(selection.has(one.record) for one in self._candidates(selection))

    def frames(self, selection: Selection, after: int) -> list[bytes]:
        return [
            self._frame(one)
            for one in self._candidates(selection)
            if one.position > after and selection.has(one.record)
        ]

    def _frame(self, entry: JournalEntry) -> bytes:
        if entry.position not in self._frames:
            self._frames[entry.position] = frame(entry)
        return self._frames[entry.position]

    def _candidates(self, selection: Selection) -> list[JournalEntry]:
        if selection.user_id is not None:
            return self._by_user.get(selection.user_id, [])
        if selection.audience is not None:
            return self._by_audience.get(selection.audience, [])
        return self._entries

    @cached_property
    def _by_user(self) -> dict[str, list[JournalEntry]]:
        found: dict[str, list[JournalEntry]] = {}
        for one in self._entries:
            found.setdefault(one.record.user_id, []).append(one)
        return found

    @cached_property
    def _by_audience(self) -> dict[str, list[JournalEntry]]:
        found: dict[str, list[JournalEntry]] = {}
        for one in self._entries:
            found.setdefault(one.record.audience, []).append(one)
        return found


def frame(entry: JournalEntry) -> bytes:
    """As an event of a stream; JSON has no line breaks of its own."""
    return b"id: %d\ndata: %b\n\n" % (entry.position, _ENCODER.encode(entry.record))
