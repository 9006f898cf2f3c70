"""The destination kinesis: a data stream of Amazon Kinesis.

A user is a partition key, so all transitions of one are in one shard, in their order.  Repeats are
in the stream again, with their ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.aws import ACCOUNT, Aws, account_flaws, short
from connectors.destinations.blocking import Item
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.place import Place
from connectors.destinations.rounds import in_rounds

OPTIONS = Record(
    "kinesis",
    "A data stream of Amazon Kinesis.",
    (Field("stream", Text(), "The stream's name.", required=True), *ACCOUNT),
    check=account_flaws,
)

_KEY = r"(?s:.{1,256})"


class Kinesis(Aws):
    """Sends to one stream."""

    service = "kinesis"
    capacity = Capacity(messages=500, requests=4)

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._stream = str(settings.options["stream"])
        super().__init__(settings, f"stream {self._stream}", 4)

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        return in_rounds(items, self._batch)

    @override
    def look(self, client: Any) -> None:
        client.describe_stream_summary(StreamName=self._stream)

    def _batch(self, items: Sequence[Item]) -> Sequence[Outcome]:
        records = [
            {"Data": one.body, "PartitionKey": short(one.message.user_id, _KEY)} for one in items
        ]
        answer = self.attempt("put_records", items, StreamName=self._stream, Records=records)
        return answer if isinstance(answer, list) else [_outcome(one) for one in answer["Records"]]


def _outcome(record: Any) -> Outcome:
    """What is said of one record: taken, or not now; there are no other errors of one alone."""
    code = record.get("ErrorCode")
    if not code:
        return ACCEPTED
    return Outcome(Verdict.RETRY, f"{code}: {record.get('ErrorMessage', '')}")
