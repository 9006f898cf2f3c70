"""The destination sqs: a queue of Amazon SQS.

A FIFO queue keeps each user's order.  A standard one keeps none: who reads it goes by `sequence`.
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


class Sqs(AwsMessages):
    """Sends to one queue."""

    service = "sqs"
    request = "send_message_batch"
    body = "MessageBody"

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._url = str(settings.options["queue_url"])
        super().__init__(settings, "queue", self._url.rpartition("/")[2])

    @override
    def look(self, client: Any) -> None:
        client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    @override
    def arguments(self, entries: Sequence[Mapping[str, object]]) -> Mapping[str, object]:
        return {"QueueUrl": self._url, "Entries": entries}
