"""What SQS and SNS share: messages in batches, each with its attributes and its own outcome.

With a name that ends with `.fifo` a user is a message group, so order is kept for each, and the
transition's id removes repeats within five minutes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.definitions import Settings
from connectors.destinations.aws import Aws, short, verdict_of
from connectors.destinations.blocking import Item
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.rounds import in_rounds

_GROUP = r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}"  # what both take as a group, or as an id for repeats


class AwsMessages(Aws):
    """Sends to one queue or topic; `body` is the key of a message's text in an entry."""

    capacity = Capacity(messages=10, requests=8)
    request: str
    body: str

    def __init__(self, settings: Settings, kind: str, name: str) -> None:
        super().__init__(settings, f"{kind} {name}")
        self._is_fifo = name.endswith(".fifo")

    @abstractmethod
    def arguments(self, entries: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        """What the request is made with."""

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        return in_rounds(items, self._batch)

    def _batch(self, items: Sequence[Item]) -> Sequence[Outcome]:
        entries = [self._entry(number, item) for number, item in enumerate(items)]
        answer = self.attempt(self.request, items, **self.arguments(entries))
        return _outcomes(answer, len(items))

    def _entry(self, number: int, item: Item) -> Mapping[str, object]:
        entry = {
            "Id": str(number),
            self.body: item.body.decode(),
            "MessageAttributes": _attributes(item),
        }
        if self._is_fifo:
            entry["MessageGroupId"] = short(item.message.user_id, _GROUP)
            entry["MessageDeduplicationId"] = short(item.message.id, _GROUP)
        return entry


def _attributes(item: Item) -> Mapping[str, object]:
    """What readers and filters see of a message without its body."""
    record = item.message.record
    shown = {
        "id": item.message.id,
        "audience": str(record["audience"]),
        "type": str(record["type"]),
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in shown.items()}


def _outcomes(answer: Any, count: int) -> Sequence[Outcome]:
    """What an answer says of the entries, whose ids are their numbers."""
    if isinstance(answer, list):  # no answer, but what that means
        return answer
    outcomes = {int(one["Id"]): ACCEPTED for one in answer.get("Successful", ())}
    for one in answer.get("Failed", ()):
        code, text = str(one.get("Code", "")), str(one.get("Message", ""))
        verdict = verdict_of(code, 400 if one.get("SenderFault") else 500)
        # It is one entry of several, and they were not too large together.
        verdict = Verdict.REJECTED if verdict is Verdict.TOO_LARGE else verdict
        outcomes[int(one["Id"])] = Outcome(verdict, f"{code}: {text}")
    unsaid = Outcome(Verdict.RETRY, "the answer does not say what has become of it")
    return [outcomes.get(number, unsaid) for number in range(count)]
