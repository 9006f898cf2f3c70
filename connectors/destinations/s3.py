"""The destination s3: objects of JSON lines in a bucket of Amazon S3, or of what speaks like it.

Each request is an object.  Its key is made of what is in it, so that the same request, repeated,
replaces its own object: the day and instant of the first transition, and a digest of all ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Record, Text
from connectors.destinations.aws import ACCOUNT, Aws, account_flaws
from connectors.destinations.blocking import Item
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome
from connectors.destinations.place import Place

OPTIONS = Record(
    "s3",
    "Objects of JSON lines in a bucket: `PREFIX2026-03-01/20260301T100000.000000Z-DIGEST.jsonl`.",
    (
        Field("bucket", Text(), "The bucket.", required=True),
        Field("prefix", Text(), "What all keys begin with.", default="`transitions/`"),
        *ACCOUNT,
    ),
    check=account_flaws,
)

_DAY = len("2026-03-01")


class S3(Aws):
    """Puts objects into one bucket."""

    service = "s3"
    capacity = Capacity(messages=5000, requests=1)

    def __init__(self, settings: Settings, _place: Place) -> None:
        self._bucket = str(settings.options["bucket"])
        super().__init__(settings, f"bucket {self._bucket}", 1)
        prefix = settings.options.get("prefix")
        self._prefix = "transitions/" if prefix is None else str(prefix)

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        self.client.put_object(
            Bucket=self._bucket,
            Key=self._key(items),
            Body=b"".join(one.body + b"\n" for one in items),
            ContentType="application/x-ndjson",
        )
        return [ACCEPTED] * len(items)

    @override
    def look(self, client: Any) -> None:
        client.head_bucket(Bucket=self._bucket)

    def _key(self, items: Sequence[Item]) -> str:
        first = str(items[0].message.record["emitted_at"])
        ids = "\n".join(one.message.id for one in items)
        digest = hashlib.sha256(ids.encode()).hexdigest()[:32]
        instant = first.replace("-", "").replace(":", "")
        return f"{self._prefix}{first[:_DAY]}/{instant}-{digest}.jsonl"
