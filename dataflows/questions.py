"""Questions to the state, which belongs to the thread that evaluates.

A question travels through the stream like everything else.  The clock takes up what was asked and
tells the key groups behind all that it has told them so far; their answers come out where
transitions do, behind those that were recorded.  So whoever has an answer finds in the journal all
that it rests on.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.forecasts import Foreseen

# Users that may be asked about at a time, and questions that a process is handed.
_MOST = 10_000
_HANDED = 1_000

_NUMBER_BITS = 62


class Question(NamedTuple):
    """What will become of these users of a parent model if nothing happens?"""

    number: int
    parent_model: str
    user_ids: Sequence[str]


class Answer(NamedTuple):
    """What one key group says of its users of a question, as of the instant `clock`."""

    number: int
    clock: int
    foreseen: Mapping[str, Mapping[str, Foreseen]]  # by user and audience


@dataclass(slots=True)
class Forecast:
    """`clock` is the earliest instant as of which something was said."""

    clock: int | None = None
    foreseen: dict[str, Mapping[str, Foreseen]] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        self.clock = answer.clock if self.clock is None else min(self.clock, answer.clock)
        self.foreseen.update(answer.foreseen)


class _Pending(NamedTuple):
    users: int
    forecast: Forecast
    future: Future[Forecast]


class Asked(Protocol):
    """What a job is asked, and tells the answers to."""

    def taken(self) -> Sequence[Question]:
        """What was asked and not taken up yet: it is from now on."""

    def answer(self, answers: Iterable[Answer]) -> None: ...


class Questions:
    """Those that wait for an answer; its methods may be called from any thread.

    Several jobs may answer, one after the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: list[Question] = []  # that nobody has taken up
        self._pending: dict[int, _Pending] = {}
        # Others ask the same job, and are answered where we hear it.
        self._number = secrets.randbits(_NUMBER_BITS)
        self.waiting = threading.Event()
        """Set when something is asked; to be cleared by who takes it up."""
        self.is_heard = False
        """Whether there is a job to be asked."""
        self._users = 0  # that are asked about

    def ask(self, parent_model: str, user_ids: Sequence[str]) -> tuple[int, Future[Forecast]]:
        """The answer will be there when all key groups have given theirs.

        It never is if no job runs, or too much is asked: whoever has waited long enough withdraws
        the question, by its number.
        """
        distinct = list(dict.fromkeys(user_ids))
        future: Future[Forecast] = Future()
        future.set_running_or_notify_cancel()  # who waits no more cannot break it
        with self._lock:
            self._number += 1
            if distinct and self._users + len(distinct) <= _MOST:
                self._users += len(distinct)
                self._asked.append(Question(self._number, parent_model, distinct))
                self._pending[self._number] = _Pending(len(distinct), Forecast(), future)
                self.waiting.set()
            return self._number, future

    def withdraw(self, number: int) -> None:
        """Nobody waits for that answer any more."""
        with self._lock:
            self._asked = [one for one in self._asked if one.number != number]
            self._forget(number)

    def taken(self) -> Sequence[Question]:
        if not self._asked:
            return ()
        with self._lock:
            asked, self._asked = self._asked, []
            return asked

    def answer(self, answers: Iterable[Answer]) -> None:
        for one in answers:
            with self._lock:
                pending = self._pending.get(one.number)
                if pending is None:
                    continue
                pending.forecast.add(one)
                is_complete = len(pending.forecast.foreseen) == pending.users
                if is_complete:
                    self._forget(one.number)
            if is_complete:
                pending.future.set_result(pending.forecast)

    def _forget(self, number: int) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._users -= pending.users


class Relay:
    """The same in one process of a job of several, all of which are handed all that is asked.

    One of them has the clock, which takes it up; in the others it is dropped some time.  It is also
    what a job answers through that others ask over a socket.

    Args:
        tell: Given what the process's own key groups answer.
    """

    def __init__(self, tell: Callable[[Sequence[Answer]], None]) -> None:
        self._tell = tell
        self._asked: deque[Question] = deque(maxlen=_HANDED)

    def hand(self, asked: Iterable[Question]) -> None:
        """May be called from any thread."""
        self._asked.extend(asked)

    def taken(self) -> Sequence[Question]:
        return [self._asked.popleft() for _ in range(len(self._asked))]

    def answer(self, answers: Iterable[Answer]) -> None:
        if found := list(answers):
            self._tell(found)
