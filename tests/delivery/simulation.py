"""A world for one lane: a journal, a store, a destination with moods, and crashes; time is virtual.

All that outlives a crash is in the store, as `Changes` say it.  What the destination has accepted
is what the lane is judged by.
"""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from connectors.destinations.destination import (
    ACCEPTED,
    Answer,
    Capacity,
    Exchange,
    Message,
    Outcome,
    Verdict,
    Window,
)
from delivery.batch import Batch
from delivery.entries import Entry, Unsendable
from delivery.lane import GIVEN_UP_ATTEMPTS, Lane
from delivery.windows import Sent
from membership.deliveries import (
    Changes,
    DeadLetter,
    Population,
    Remembered,
    SyncState,
    Waiting,
    Who,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND

MOODS = ("well", "well", "well", "flaky", "down", "busy", "refusing", "lossy", "gone")


def message(user: str, sequence: int) -> Message:
    kind = "entered" if sequence % 2 else "exited"
    record = {"id": f"{user}-{sequence}", "type": kind, "user_id": user, "sequence": sequence}
    return Message(f"{user}-{sequence}", user, sequence % 2 == 1, record, {"n": sequence})


@dataclass
class Store:
    """What survives."""

    cursor: int = 0
    population: Population | None = None
    waiting: dict[Who, Waiting] = field(default_factory=dict)
    dead: dict[Who, DeadLetter] = field(default_factory=dict)
    state: SyncState = field(default_factory=SyncState)

    def write(self, changes: Changes) -> None:
        assert changes.cursor >= self.cursor
        self.cursor, self.population = changes.cursor, changes.population
        self.waiting |= {one.who: one for one in changes.waiting}
        for who in changes.settled:
            self.waiting.pop(who, None)
        for who in changes.revived:
            del self.dead[who]
        self.dead |= {one.who: one for one in changes.dead}
        assert changes.state is not None
        self.state = changes.state

    def remembered(self) -> Remembered:
        beyond = {who for who, one in self.dead.items() if one.position > self.cursor}
        if self.population is not None and not self.population.is_complete:
            beyond |= {who for who, one in self.dead.items() if one.position == 0}
        waiting = sorted(self.waiting.values(), key=lambda one: one.who)
        return Remembered(self.cursor, self.population, waiting, frozenset(beyond), self.state)


class World:
    """What the seed decides: who there is, and what the destination takes, and when."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        draw = self.draw
        self.now = 1_700_000_000 * SECOND
        self.capacity = Capacity(
            messages=draw.choice((1, 1, 2, 7)),
            requests=draw.choice((1, 2, 5)),
            windows=draw.choice(
                ((), (Window(3, 1.0),), (Window(2, 0.5), Window(20, 60.0)), (Window(5_000, 1.0),))
            ),
        )
        self.rate = draw.choice((None, 1, 5))
        self.users = [f"u{number}" for number in range(draw.choice((1, 4, 15)))]
        self.journal: list[Entry] = []
        self.sequences: dict[str, int] = defaultdict(int)
        self.members = self._first_members()
        self.store = Store()
        if self.members or draw.random() < 0.2:
            self.store.population = Population(0, "v", self.now)
        self.mood = "well"
        poisoned = draw.random() < 0.3
        self.poison: dict[str, Verdict] = {}
        self._poisons = (Verdict.REJECTED, Verdict.TOO_LARGE, Verdict.RETRY) if poisoned else ()
        self.unsendable: set[str] = set()
        self.accepted: dict[str, Any] = {}
        self.order: dict[str, list[int]] = defaultdict(list)
        self.flying: list[tuple[int, int, Batch, Answer]] = []
        self.sent_at: list[int] = []
        self.initial_at: list[int] = []
        self._count = 0
        self.lane = self.restored(())

    def _first_members(self) -> list[str]:
        # By user id, as the store has them.
        members = sorted(user for user in self.users if self.draw.random() < 0.3)
        for user in members:
            self.sequences[user] = 1
        return members

    def restored(self, sent: Sent | None = None) -> Lane:
        """After a crash, or an end that has left behind what was sent."""
        lane = Lane("sync", self.capacity, self.store.remembered(), self.rate)
        lane.go_on(sent, self.now)
        self.flying.clear()
        self.initial_at.clear()
        return lane

    # What may happen

    def step(self) -> None:
        roll = self.draw.random()
        if roll < 0.25:
            self.record()
        elif roll < 0.30:
            self.mood = self.draw.choice(MOODS)
        elif roll < 0.34:
            self.lane = self.restored(self.draw.choice((None, self.lane.sent)))
        elif roll < 0.50:
            self.commit(self.draw.random())
        elif roll < 0.55:
            self.lane.resume(self.now)
        elif roll < 0.60:
            self.now += self.draw.choice((SECOND, 60 * SECOND, HOUR))
        else:
            self.work()

    def record(self) -> None:
        for _ in range(self.draw.choice((1, 3, 10))):
            user = self.draw.choice(self.users)
            self.sequences[user] += 1
            one = message(user, self.sequences[user])
            if self._poisons and self.draw.random() < 0.03:
                self.poison[one.id] = self.draw.choice(self._poisons)
            position, initial = len(self.journal) + 1, self.draw.random() < 0.1
            if self.draw.random() < 0.01:
                self.unsendable.add(one.id)
                broken = Unsendable(one.record, "no such property")
                self.journal.append(Entry(position, broken, initial))
            else:
                self.journal.append(Entry(position, one, initial))

    def commit(self, roll: float) -> None:
        """The store may fail, and the process may die just after it has not."""
        changes = self.lane.changes()
        if changes is None:
            return
        if roll < 0.1:
            self.lane.unsaved()
            return
        self.store.write(changes)
        if roll < 0.2:
            self.lane = self.restored()
        else:
            self.lane.saved()

    def work(self) -> None:
        self.read()
        while (batch := self.lane.next_batch(self.now)) is not None:
            self.send(batch)
        if self.flying:
            self.answer()
        else:
            self.pass_time()

    def read(self) -> None:
        lane = self.lane
        if lane.wants_journal:
            page = self.journal[lane.position : lane.position + self.draw.choice((1, 5, 50))]
            if page:
                lane.read(page, page[-1].position, self.now)
        if lane.wants_members:
            population = lane.population
            assert population is not None
            left = [user for user in self.members if user > (population.after or "")]
            some, left = left[:2], left[2:]
            # Of whoever has a transition since, the journal tells.
            changed = {entry.message.record["user_id"] for entry in self.journal}
            entries = [Entry(0, message(user, 1), True) for user in some if user not in changed]
            lane.read_members(entries, some[-1] if left else None, self.now)

    def send(self, batch: Batch) -> None:
        messages = batch.messages
        assert 0 < len(messages) <= self.capacity.messages
        self._count += 1
        aloft = [one.user_id for _, _, other, _ in self.flying for one in other.messages]
        assert not {one.user_id for one in messages} & set(aloft), "one at a time of a user"
        assert len({one.user_id for one in messages}) == len(messages)
        assert len(self.flying) < self.capacity.requests
        self.sent_at.append(self.now)
        for window in self.capacity.windows:
            _check_window(self.sent_at, window.count, window.seconds)
        for item in batch.items:
            if item.is_initial and self.rate is not None:
                self.initial_at.append(self.now)
                _check_window(self.initial_at, self.rate, 1.0)
        answer = Answer(self.outcomes(messages), Exchange("POST", "OK"))
        takes = self.draw.choice((1_000, 50_000, 5 * SECOND))
        heapq.heappush(self.flying, (self.now + takes, self._count, batch, answer))

    def outcomes(self, messages: list[Message]) -> list[Outcome]:
        if len(messages) > 1 and any(
            self.poison.get(one.id) is Verdict.TOO_LARGE for one in messages
        ):
            return [Outcome(Verdict.TOO_LARGE, "413")] * len(messages)
        match self.mood:
            case "down":
                return [Outcome(Verdict.RETRY, "no answer")] * len(messages)
            case "busy":
                wait = self.draw.choice((SECOND, 7 * SECOND, 2 * HOUR))
                return [Outcome(Verdict.RETRY, "429", wait)] * len(messages)
            case "refusing":
                return [Outcome(Verdict.REFUSED, "401")] * len(messages)
            case "gone":
                return [Outcome(Verdict.GONE, "410")] * len(messages)
            case "lossy":
                for one in messages:
                    if one.id not in self.poison:
                        self.accept(one)
                return [Outcome(Verdict.RETRY, "the answer was lost")] * len(messages)
        return [self.outcome(one) for one in messages]

    def outcome(self, one: Message) -> Outcome:
        if one.id in self.poison:
            return Outcome(self.poison[one.id], "never")
        if self.mood == "flaky" and self.draw.random() < 0.4:
            return Outcome(Verdict.RETRY, "not this one")
        if self.mood == "flaky" and self.draw.random() < 0.1:  # it may be taken when sent again
            return Outcome(Verdict.REJECTED, "not today")
        self.accept(one)
        return ACCEPTED

    def accept(self, one: Message) -> None:
        if one.id in self.accepted:
            assert self.accepted[one.id] == one.body, "one id, one content"
            return
        self.accepted[one.id] = one.body
        assert isinstance(one.record["sequence"], int)
        self.order[one.user_id].append(one.record["sequence"])

    def answer(self) -> None:
        at, _, batch, answer = heapq.heappop(self.flying)
        self.now = max(self.now, at)
        self.lane.answered(batch, answer, self.now, self.draw.random())

    def pass_time(self) -> None:
        due = self.lane.due(self.now)
        if due is not None:
            assert due > self.now, "whoever drives it would run in circles"
            self.now = due

    # How it ends

    def heal(self) -> None:
        self.mood = "well"
        while self.flying:
            self.answer()
        self.lane.resume(self.now)
        self.drain()

    def drain(self) -> None:
        for _ in range(200_000):
            before = self.lane.position, self.lane.population, self.now, len(self.flying)
            self.work()
            if before == (self.lane.position, self.lane.population, self.now, len(self.flying)):
                if self.lane.changes() is None:
                    return
                # What is given up holds its user until it is written down.
                changes = self.lane._notes._saving
                assert changes is not None
                self.store.write(changes)
                self.lane.saved()
        raise AssertionError("it never ends")

    def replay(self) -> None:
        """All that was given up is sent again, and is accepted now."""
        self.poison.clear()
        for one in list(self.store.dead.values()):
            if one.id not in self.unsendable:
                self.lane.revive(one)
        self.drain()
        assert {one.id for one in self.store.dead.values()} <= self.unsendable

    def check(self) -> None:
        everything = {
            f"{user}-{sequence}"
            for user, last in self.sequences.items()
            for sequence in range(1, last + 1)
        }
        # A member who has left before it was its turn is told of by the journal alone.
        skipped = {f"{user}-1" for user in self.members} - set(self.accepted)
        changed = {f"{entry.message.record['user_id']}-1" for entry in self.journal}
        dead = {one.id for one in self.store.dead.values()}
        assert everything - (skipped & changed) <= set(self.accepted) | dead
        assert not self.store.waiting
        assert self.store.cursor == len(self.journal)
        assert self.store.population is None or self.store.population.is_complete
        for one in self.store.dead.values():
            assert one.reason
            if one.reason.startswith("given up"):
                assert one.attempts >= GIVEN_UP_ATTEMPTS

    def check_order(self) -> None:
        for user, sequences in self.order.items():
            assert all(one < two for one, two in pairwise(sequences)), (user, sequences)


def _check_window(instants: list[int], count: int, seconds: float) -> None:
    """The last one that went out, with as many before it as may be."""
    if len(instants) > count:
        assert instants[-1] - instants[-1 - count] >= seconds * SECOND, "more than a window takes"


def lived(seed: int, steps: int) -> World:
    """A world after so many steps, healed, with nothing left to do."""
    world = World(seed)
    for _ in range(steps):
        world.step()
    world.heal()
    return world
