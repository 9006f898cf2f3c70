"""Which destinations there are: what each is told in YAML, and how one is opened.

A kind is a module with `OPTIONS` and a class, and a line in `KINDS`; a preset is a file in
`presets`, which is found by itself.  Clients are imported when a destination is opened, and not
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Record
from connectors.destinations import (
    file,
    kafka,
    kinesis,
    postgres,
    redis,
    s3,
    sns,
    sqs,
    stdout,
    webhook,
)
from connectors.destinations.destination import Destination
from connectors.destinations.http import declaration
from connectors.destinations.http.presets import presets
from connectors.destinations.place import Place

Open = Callable[[Settings, Place], Destination]


@dataclass(frozen=True, slots=True)
class Kind:
    """`options` are its keys in YAML; `open` raises `DestinationError`."""

    options: Record
    open: Open


def _http(settings: Settings, place: Place) -> Destination:
    from connectors.destinations.http.destination import HttpDestination

    return HttpDestination(settings.key, settings.options, place, secrets=settings.filled)


KINDS: Mapping[str, Kind] = {
    "webhook": Kind(webhook.OPTIONS, webhook.Webhook),
    "http": Kind(declaration.OPTIONS, _http),
    "kafka": Kind(kafka.OPTIONS, kafka.Kafka),
    "file": Kind(file.OPTIONS, file.open_file),
    "stdout": Kind(stdout.OPTIONS, stdout.Stdout),
    "postgres": Kind(postgres.OPTIONS, postgres.Postgres),
    "redis": Kind(redis.OPTIONS, redis.Redis),
    "sqs": Kind(sqs.OPTIONS, sqs.Sqs),
    "sns": Kind(sns.OPTIONS, sns.Sns),
    "kinesis": Kind(kinesis.OPTIONS, kinesis.Kinesis),
    "s3": Kind(s3.OPTIONS, s3.S3),
    **{name: Kind(one.record, one.open) for name, one in presets().items()},
}

OPTIONS: Mapping[str, Record] = {name: kind.options for name, kind in KINDS.items()}


def open_destination(settings: Settings, place: Place) -> Destination:
    """The destination that settings describe; whoever opened it closes it.

    Raises:
        DestinationError: it cannot be opened with these settings; the text says why.
    """
    return KINDS[settings.type].open(settings, place)
