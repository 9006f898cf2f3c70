"""The destination sns: a topic of Amazon SNS.

A FIFO topic keeps each user's order.  The attributes `audience` and `type` are there for the
filters of subscriptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.aws import ACCOUNT, account_flaws
from connectors.destinations.aws_messages import AwsMessages
from connectors.destinations.place import Place

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


class Sns(AwsMessages):
    """Sends to one topic."""

    service = "sns"
    request = "publish_batch"
    body = "Message"

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._arn = str(settings.options["topic_arn"])
        super().__init__(settings, "topic", self._arn.rpartition(":")[2])

    @override
    def look(self, client: Any) -> None:
        client.get_topic_attributes(TopicArn=self._arn)

    @override
    def arguments(self, entries: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        return {"TopicArn": self._arn, "PublishBatchRequestEntries": entries}
