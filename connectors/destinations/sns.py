"""The destination sns: a topic of Amazon SNS.

In a FIFO topic a user is a message group, so order is kept for each, and the transition's id
removes repeats within five minutes.  The attributes `audience` and `type` are there for the filters
of subscriptions.
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
from connectors.destinations.sqs import GROUP, attributes

OPTIONS = Record(
    "sns",
    "A topic of Amazon SNS, standard or FIFO.",
    (
        Field(
            "topic_arn",
            Text("the ARN of a topic", r"arn:\S+"),
            "The topic; a FIFO topic's name ends with `.fifo`.",
            required=True,
        ),
        *ACCOUNT,
    ),
    check=account_flaws,
)


class Sns(Aws):
    """Sends to one topic."""

    service = "sns"
    capacity = Capacity(messages=10, requests=8)

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._arn = str(settings.options["topic_arn"])
        super().__init__(settings, f"topic {self._arn.rpartition(':')[2]}")
        self._fifo = self._arn.endswith(".fifo")

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        return in_rounds(items, self._batch)

    @override
    def look(self, client: Any) -> None:
        client.get_topic_attributes(TopicArn=self._arn)

    def _batch(self, items: Sequence[Item]) -> Sequence[Outcome]:
        entries = [self._entry(number, item) for number, item in enumerate(items)]
        answer = self.attempt(
            "publish_batch", items, TopicArn=self._arn, PublishBatchRequestEntries=entries
        )
        return outcomes_of_batch(answer, len(items))

    def _entry(self, number: int, item: Item) -> dict[str, object]:
        entry: dict[str, object] = {
            "Id": str(number),
            "Message": item.body.decode(),
            "MessageAttributes": attributes(item),
        }
        if self._fifo:
            entry["MessageGroupId"] = short(item.message.user_id, GROUP)
            entry["MessageDeduplicationId"] = short(item.message.id, GROUP)
        return entry
