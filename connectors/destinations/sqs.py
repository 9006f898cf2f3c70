"""The destination sqs: a queue of Amazon SQS.

In a FIFO queue a user is a message group, so order is kept for each, and the transition's id
removes repeats within five minutes.  A standard queue keeps no order: who reads it goes by
`sequence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.aws import ACCOUNT, Aws, account_flaws, outcomes_of_batch, short
from connectors.destinations.blocking import Item
from connectors.destinations.destination import Capacity, Outcome
from connectors.destinations.place import Place
from connectors.destinations.rounds import in_rounds

OPTIONS = Record(
    "sqs",
    "A queue of Amazon SQS, standard or FIFO.",
    (
        Field(
            "queue_url",
            Text("the URL of a queue", r"https?://\S+"),
            "The queue; a FIFO queue's name ends with `.fifo`.",
            required=True,
        ),
        *ACCOUNT,
    ),
    check=account_flaws,
)

GROUP = r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}"  # what SQS and SNS take as a group or for repeats


class Sqs(Aws):
    """Sends to one queue."""

    service = "sqs"
    capacity = Capacity(messages=10, requests=8)

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._url = str(settings.options["queue_url"])
        super().__init__(settings, f"queue {self._url.rpartition('/')[2]}")
        self._fifo = self._url.endswith(".fifo")

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        return in_rounds(items, self._batch)

    @override
    def look(self, client: Any) -> None:
        client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    def _batch(self, items: Sequence[Item]) -> Sequence[Outcome]:
        entries = [self._entry(number, item) for number, item in enumerate(items)]
        answer = self.attempt("send_message_batch", items, QueueUrl=self._url, Entries=entries)
        return outcomes_of_batch(answer, len(items))

    def _entry(self, number: int, item: Item) -> dict[str, object]:
        entry: dict[str, object] = {
            "Id": str(number),
            "MessageBody": item.body.decode(),
            "MessageAttributes": attributes(item),
        }
        if self._fifo:
            entry["MessageGroupId"] = short(item.message.user_id, GROUP)
            entry["MessageDeduplicationId"] = short(item.message.id, GROUP)
        return entry


def attributes(item: Item) -> dict[str, object]:
    """What readers and filters see of a message without its body."""
    record = item.message.record
    shown = {
        "id": item.message.id,
        "audience": str(record["audience"]),
        "type": str(record["type"]),
    }
    return {name: {"DataType": "String", "StringValue": value} for name, value in shown.items()}
