"""The lane of a sync: what goes out next, and what becomes of it.

A state machine without input, output, clock or chance: whoever drives it reads the journal, sends
what it says, tells it what came back, and writes down what it wants to be remembered.

- Of a user, one message is on its way at a time; the next one goes when it is accepted, or when it
  is durably given up.  So no user's order changes, whatever fails.
- A message that has to be repeated is parked: it is written down with its user's later ones, and
  the cursor moves on.  There may be so many of them; then the lane reads no further.
- Given up is what the destination will never take, and what it has not taken after three days and
  ten attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from connectors.destinations.destination import (
    Answer,
    Capacity,
    Exchange,
    Message,
    Outcome,
    Verdict,
    Window,
)
from connectors.sentences import Alarm, Trouble
from delivery.backoff import SECOND, backoff
from delivery.batch import Batch, worst_of
from delivery.counts import Counts
from delivery.entries import Entry, Unsendable
from delivery.gate import Gate
from delivery.notes import Notes
from delivery.parking import item_of, letter_of
from delivery.passage import Passage
from delivery.queues import Item, Place, Queues
from delivery.windows import Sent, Windows
from membership.deliveries import (
    Changes,
    DeadLetter,
    Population,
    Remembered,
    SyncState,
    SyncStatus,
    Waiting,
    Who,
)

GIVEN_UP_AFTER = 72 * 3_600 * SECOND
GIVEN_UP_ATTEMPTS = 10

# So many messages may be parked; those that were read already may add to them.
PARKED = 1_000

# Room for less than a page is not worth reading it.
_AHEAD = 100


class Lane:
    """Instants are microseconds, and never go back.

    `news` has sentences for whoever runs this, to be taken out of it.

    Args:
        initial_rate: Messages a second, of those that are initial.
    """

    def __init__(
        self,
        key: str,
        capacity: Capacity,
        remembered: Remembered,
        initial_rate: int | None = None,
    ) -> None:
        self.key = key
        self.news: list[str] = []
        self._capacity = capacity
        self._most = capacity.messages
        self._ahead = max(2 * capacity.messages * capacity.requests, _AHEAD)
        self._windows = Windows(capacity.windows)
        self._initial = Windows([] if initial_rate is None else [Window(initial_rate, 1.0)])
        state, population = remembered.state, remembered.population
        self._counts = Counts(state)
        self._gate = Gate(state.status, state.since, state.reason)
        self._queues = Queues()
        self._flying = 0
        self._parked = 0
        self._journal = Passage(remembered.cursor)
        self._population = population
        self._members = Passage(None if population is None else population.after)
        self._notes = Notes(Changes(key, remembered.cursor, population, [], [], [], [], [], state))
        # What the store has already is not taken again where it is read again.  Nothing that lies
        # behind is: who is remembered for it would be left out when all members are sent again.
        beyond = {one.who for one in remembered.waiting if one.position > remembered.cursor}
        self._known = beyond | remembered.dead
        self._known_members = set(remembered.dead)
        if population is not None and not population.is_complete:
            self._known_members |= {one.who for one in remembered.waiting if not one.position}
        for one in remembered.waiting:
            self.bring_back(one)

    @property
    def sent(self) -> Sent:
        """What went out lately, for the lane that goes on after this one."""
        return self._windows.sent

    def go_on(self, sent: Sent | None, now: int) -> None:
        """Keep to the limits together with the lane before; `None`: it ended without a word."""
        self._windows.go_on(sent, now)

    # Reading

    @property
    def position(self) -> int:
        """The position up to which the journal is read."""
        return self._journal.read

    @property
    def cursor(self) -> int:
        """The position up to which all is accepted, or written down as soon as this is."""
        return self._journal.passed

    @property
    def population(self) -> Population | None:
        """The members that are still to be read, behind `after`; `None` if there are none."""
        if self._population is None or self._population.is_complete:
            return None
        return replace(self._population, after=self._members.read)

    @property
    def parked(self) -> int:
        """How many messages wait apart from the journal."""
        return self._parked

    @property
    def flying(self) -> int:
        """How many requests are not answered yet."""
        return self._flying

    @property
    def wants_journal(self) -> bool:
        """Whether there is room for a page of it."""
        return self._has_room(self._journal)

    @property
    def wants_members(self) -> bool:
        """Whether there are some to be read, and room for a page of them."""
        return self.population is not None and self._has_room(self._members)

    def _has_room(self, passage: Passage[int] | Passage[str | None]) -> bool:
        if self._gate.status is SyncStatus.DISABLED or self._parked >= PARKED:
            return False
        # While the destination fails, one that has never been tried may be what goes through.
        return len(passage) < (self._ahead if self._gate.is_running else 1)

    def read(self, entries: Iterable[Entry], position: int, now: int) -> None:
        """Take a page of the journal, up to a position."""
        for entry in entries:
            item = self._take(entry, now)
            if item is not None:
                self._journal.add(entry.position - 1, item)
        self._journal.read = position

    def read_members(self, entries: Iterable[Entry], after: str | None, now: int) -> None:
        """Take a page of members, up to a user id; without one, these are the last."""
        before = self._members.read
        for entry in entries:
            item = self._take(entry, now)
            if item is not None:
                self._members.add(before, item)
                before = item.who.user_id
        if after is None and self._population is not None:
            self._population = replace(self._population, is_complete=True)
        else:
            self._members.read = after

    def populate(self, population: Population) -> None:
        """Send these members, in place of any that are still to be read."""
        self._population = population
        self._members = Passage(population.after)
        self._known_members.clear()

    def bring_back(self, waiting: Waiting) -> None:
        """Take what waited when the lane was stopped."""
        self._queues.add(item_of(waiting))
        self._parked += 1

    def revive(self, letter: DeadLetter) -> None:
        """Send once more what was given up, as if for the first time.

        Its user's later messages may have been accepted before it.
        """
        if any(item.who == letter.who for item in self._queues.of(letter.user_id)):
            return
        item = item_of(
            Waiting(letter.user_id, letter.sequence, letter.position, letter.record, letter.mapped)
        )
        self._queues.add(item)
        self._parked += 1
        self._notes.revived(item)

    def _take(self, entry: Entry, now: int) -> Item | None:
        message = entry.message
        record = message.record
        who = Who(str(record["user_id"]), int(str(record["sequence"])))
        earlier = list(self._queues.of(who.user_id))
        known = self._known if entry.position else self._known_members
        if who in known or any(one.who == who for one in earlier):
            known.discard(who)
            return None
        if isinstance(message, Unsendable):
            unsent = Message(
                str(record["id"]), who.user_id, record["type"] == "entered", message.record
            )
            item = Item(unsent, who, entry.position, is_initial=entry.is_initial)
            self._queues.add(item)
            self._give_up(item, message.reason, Exchange(""), now)
            return item
        item = Item(message, who, entry.position, is_initial=entry.is_initial)
        self._queues.add(item)
        if any(one.is_parked for one in earlier):
            self._park(item)
        return item

    # Sending

    def next_batch(self, now: int) -> Batch | None:
        """What is to be sent now; ask again until there is none."""
        room = self._gate.room(now, self._most)
        if not room or self._flying >= self._capacity.requests or self._windows.room(now) == 0:
            return None
        items = self._next(room, now)
        if not items:
            return None
        self._windows.take(1, now)
        self._flying += 1
        return Batch(items, now, self._gate.sent())

    def _next(self, room: int, now: int) -> list[Item]:
        if not self._gate.is_running:
            probe = self._queues.take_least_tried(now, self._initial.opens(now))
            if probe is not None and probe.is_initial:
                self._initial.take(1, now)
            return [] if probe is None else [probe]
        items: list[Item] = []
        while len(items) < room and (item := self._queues.take(now)) is not None:
            if item.is_initial and self._initial.room(now) == 0:
                item.due = self._initial.opens(now)
                self._queues.back(item)
                continue
            if item.is_initial:
                self._initial.take(1, now)
            items.append(item)
        return items

    def due(self, now: int) -> int | None:
        """When there may be something to send if nothing else happens; `None`: not before."""
        until, due = self._gate.until, self._queues.due(now)
        if until is None or due is None or self._flying >= self._capacity.requests:
            return None
        return max(until, due, self._windows.opens(now))

    def resume(self, now: int) -> None:
        """Somebody says that the destination works."""
        self._gate.resume(now)
        self._queues.hurry()

    # What comes back

    def answered(self, batch: Batch, answer: Answer, now: int, jitter: float) -> None:
        """Take what came of a batch; `jitter` is from [0, 1)."""
        assert len(answer.outcomes) == len(batch.items), "a destination answers for each message"
        self._flying -= 1
        worst = worst_of(answer.outcomes)
        self._judge(batch, answer.outcomes, worst, now, jitter)
        for item, outcome in zip(batch.items, answer.outcomes, strict=True):
            self._settle(item, outcome, answer.exchange, batch, now, jitter)
        if worst.verdict is Verdict.ACCEPTED:
            self._most = min(self._most + 1, self._capacity.messages)
        else:
            self._counts.reason, self._counts.failed_at = worst.reason, now
        self._notes.attempted(batch.attempt(worst, answer.exchange, now))

    def _judge(
        self, batch: Batch, outcomes: Sequence[Outcome], worst: Outcome, now: int, jitter: float
    ) -> None:
        """What it says of the destination."""
        gate, probe = self._gate, batch.is_probe
        waits = [one.wait for one in outcomes if one.wait is not None]
        if worst.verdict is Verdict.GONE:
            if gate.gone(now, worst.reason, probe=probe):
                self._tell(f"is disabled until it is resumed: {worst.reason}", Alarm)
        elif worst.verdict is Verdict.REFUSED:
            if gate.refused(now, worst.reason, probe=probe):
                self._tell(
                    f"pauses, because its credentials are refused: {worst.reason}; nothing is "
                    "lost, and it is tried again every five minutes",
                    Alarm,
                )
        elif any(one.verdict is not Verdict.RETRY for one in outcomes):
            if gate.succeeded(now, probe=probe):
                self._queues.hurry()
                self._tell("works again")
        else:
            is_news = len(batch.items) > 1 or batch.items[0].era != gate.era
            counts = not waits and is_news
            if gate.failed(now, jitter, worst.reason, probe=probe, counts=counts):
                self._tell(
                    f"fails: {worst.reason}; nothing is lost, and it is tried again", Trouble
                )
        if waits:
            gate.told_to_wait(now, max(waits))

    def _settle(
        self,
        item: Item,
        outcome: Outcome,
        exchange: Exchange,
        batch: Batch,
        now: int,
        jitter: float,
    ) -> None:
        match outcome.verdict:
            case Verdict.ACCEPTED:
                self._accept(item)
            case Verdict.REFUSED | Verdict.GONE:
                self._queues.back(item)
            case Verdict.TOO_LARGE if len(batch.items) > 1:
                self._most = max(1, min(self._most, len(batch.items) // 2))
                self._queues.back(item)
            case Verdict.REJECTED | Verdict.TOO_LARGE:
                item.attempts += 1
                self._give_up(item, outcome.reason, exchange, now)
            case Verdict.RETRY:
                self._repeat(item, outcome, exchange, now, jitter)

    def _accept(self, item: Item) -> None:
        self._counts.sent += 1
        self._counts.retried += item.attempts > 0
        self._queues.remove(item)
        if item.is_parked:
            self._parked -= 1
            self._notes.settled(item)

    def _repeat(
        self, item: Item, outcome: Outcome, exchange: Exchange, now: int, jitter: float
    ) -> None:
        self._counts.failed += 1
        item.attempts += 1
        item.first_attempt = item.first_attempt or now
        item.reason = outcome.reason
        item.era = self._gate.era
        tried_for = now - item.first_attempt
        if tried_for >= GIVEN_UP_AFTER and item.attempts >= GIVEN_UP_ATTEMPTS:
            hours = tried_for // (3_600 * SECOND)
            reason = f"given up after {item.attempts} attempts in {hours} h: {outcome.reason}"
            self._give_up(item, reason, exchange, now)
            return
        item.due = now + max(outcome.wait or 0, backoff(item.attempts, jitter))
        for one in self._queues.of(item.who.user_id):
            if one.place is not Place.GIVEN_UP:
                self._park(one)
        self._queues.back(item)

    def _park(self, item: Item) -> None:
        self._parked += not item.is_parked
        item.is_parked = True
        self._notes.parked(item)

    def _give_up(self, item: Item, reason: str, exchange: Exchange, now: int) -> None:
        """Its user waits until that is durable: else, after a crash, it might go behind others."""
        item.place = Place.GIVEN_UP
        self._counts.dead += 1
        self._notes.given_up(item, letter_of(item, reason, exchange, now))

    def _tell(self, what: str, kind: type[str] = str) -> None:
        self.news.append(kind(f"sync '{self.key}' {what}"))

    # What is to be remembered

    @property
    def state(self) -> SyncState:
        return self._counts.state(self._gate)

    def changes(self) -> Changes | None:
        """What is to be written down, `None` if nothing is; then `saved` or `unsaved` is called."""
        population = self._population
        if population is not None:
            ended = population.is_complete and not len(self._members)
            population = replace(population, after=self._members.passed, is_complete=ended)
        return self._notes.take(self.cursor, population, self.state)

    def saved(self) -> None:
        """It is durable."""
        for item in self._notes.saved():
            self._queues.remove(item)
            self._parked -= item.is_parked

    def unsaved(self) -> None:
        """It is not; it comes with the next changes."""
        self._notes.unsaved()
