"""What destinations have in common whose clients block: begin here to add one.

Such a destination says in its own words how messages are brought there, what an error means, and
how to connect and let go; this class makes bodies of the messages, keeps the client in threads of
its own, and turns what happens into answers in which no secret can be read.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from typing_extensions import override

from audience_dsl.definitions import Settings
from connectors.destinations.destination import (
    Answer,
    Capacity,
    Destination,
    Exchange,
    Message,
    Outcome,
    Verdict,
)
from connectors.destinations.errors import DestinationError
from connectors.destinations.threads import Abandoned, Threads
from connectors.discretion import Secrets, one_line

_CLOSED = Outcome(Verdict.RETRY, "the destination was closed before it answered")


class Item(NamedTuple):
    """A message and its body as JSON in UTF-8, without line breaks."""

    message: Message
    body: bytes


class Blocking(Destination, ABC):
    """A destination that calls its client in threads.

    Args:
        settings: The destination's own.
        where: What is sent to, for people, as `queue audience-changes`.
        secrets: What no text may contain.
        threads: How many requests are carried out at once.
    """

    def __init__(
        self, settings: Settings, where: str, secrets: Sequence[object] = (), threads: int = 1
    ) -> None:
        self._name = f"destination '{settings.key}'"
        self._where = where
        self._secrets = Secrets(*secrets)
        self._threads = Threads(f"usher-{settings.key}", threads)

    @property
    @abstractmethod
    @override
    def capacity(self) -> Capacity: ...

    @abstractmethod
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Bring items there, in their order; one outcome for each.

        Whatever it raises is what `explain` says of all of them.  Runs in a thread, as do `probe`
        and `disconnect`.
        """

    @abstractmethod
    def explain(self, error: Exception) -> Outcome:
        """What an error of the client means."""

    @abstractmethod
    def probe(self) -> None:
        """Do the least that shows that messages would be taken; raise if not."""

    @abstractmethod
    def disconnect(self) -> None:
        """Let go of the client, if there is one."""

    @override
    async def send(self, messages: Sequence[Message]) -> Answer:
        outcomes: list[Outcome | None] = [None] * len(messages)
        items = []
        for number, message in enumerate(messages):
            try:
                message.user_id.encode()
                items.append(Item(message, msgspec.json.encode(message.body)))
            except UnicodeError:  # its text would show the value
                outcomes[number] = Outcome(Verdict.REJECTED, "it has half a character in a text")
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                outcomes[number] = Outcome(Verdict.REJECTED, f"it cannot be JSON: {error}")
        told = iter(await self._told(items) if items else ())
        complete = [self._discreet(one or next(told)) for one in outcomes]
        return Answer(complete, self._exchange(messages, complete))

    @override
    async def test(self) -> None:
        try:
            await self._threads.run(self.probe)
        except Abandoned:
            raise DestinationError(f"{self._name}: {_CLOSED.reason}") from None
        except Exception as error:  # noqa: BLE001  each client has its own family of exceptions
            raise self._error(error) from None

    @override
    async def close(self) -> None:
        await self._threads.close(self.disconnect)

    async def _told(self, items: Sequence[Item]) -> Sequence[Outcome]:
        try:
            outcomes = await self._threads.run(partial(self.deliver, items))
            assert len(outcomes) == len(items), "`deliver` owes an outcome for each item"
            return outcomes
        except Abandoned:
            return [_CLOSED] * len(items)
        except Exception as error:  # noqa: BLE001  as above
            return [self.explain(error)] * len(items)

    def _error(self, error: Exception) -> DestinationError:
        reason = str(error) if isinstance(error, DestinationError) else self.explain(error).reason
        reason = reason.removeprefix(f"{self._name}: ")
        return DestinationError(f"{self._name}: {one_line(self._secrets.hide(reason))}")

    def _discreet(self, outcome: Outcome) -> Outcome:
        if not outcome.reason:
            return outcome
        reason = one_line(self._secrets.hide(outcome.reason))
        return Outcome(outcome.verdict, reason, outcome.wait)

    def _exchange(self, messages: Sequence[Message], outcomes: Sequence[Outcome]) -> Exchange:
        """Ids, verdicts and reasons; nothing of what is personal is shown."""
        ids = one_line(", ".join(one.id for one in messages), 200)
        noun = "message" if len(messages) == 1 else "messages"
        counts = Counter(
            f"{one.verdict}: {one.reason}" if one.reason else str(one.verdict) for one in outcomes
        )
        return Exchange(
            f"{len(messages)} {noun} to {self._secrets.hide(self._where)}: {ids}",
            one_line("; ".join(f"{count} {what}" for what, count in counts.items())),
        )


def need_client(kind: str, module: str, extra: str) -> None:
    """Make sure that a client is installed, without importing it.

    Raises:
        DestinationError: it is not; the message has the command.
    """
    if importlib.util.find_spec(module) is None:
        raise DestinationError(
            f"destination type '{kind}' needs a client that is not installed; "
            f"run: pip install 'usher[{extra}]'"
        )


def said(error: BaseException) -> str:
    """An error in its own words, or at least its name."""
    return str(error).strip() or type(error).__name__
