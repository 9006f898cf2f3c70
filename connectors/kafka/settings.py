"""From the options of a definition to the properties of a librdkafka client.

Whatever is not one of our own options is a property of librdkafka by its own name, such as
`security.protocol` or `sasl.password`, and is passed on.  Properties that would undo what a source
or a destination promises are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from audience_dsl.definitions import Settings

_OURS = frozenset({"format", "topic", "bootstrap_servers", "start", "on_missing", "group"})
_REFUSED = {
    "bootstrap.servers": "use bootstrap_servers",
    "metadata.broker.list": "use bootstrap_servers",
    "group.id": "use group",
}
_SECRET = ("password", "secret", ".pem", "oauthbearer.config")
_MASK = "***"

# What librdkafka would print by itself is told by its callbacks, in sentences.
_SILENT = logging.getLogger("usher.kafka")
_SILENT.disabled = True


class KafkaRefused(Exception):
    """A client cannot work; the text says why, and what to do."""


def properties(
    settings: Settings, own: Mapping[str, object], defaults: Mapping[str, object]
) -> dict[str, object]:
    """The properties of a client: the user's, over `defaults`, and `own`, which stand firm.

    Raises:
        KafkaRefused: an option is no text, number or flag, or is one of `own`.
    """
    passed = {}
    for name, value in settings.options.items():
        if name in _OURS:
            continue
        if name in _REFUSED:
            raise KafkaRefused(f"'{name}' cannot be set: {_REFUSED[name]}")
        if name in own:
            raise KafkaRefused(f"'{name}' cannot be set: it is always {_written(own[name])} here")
        if not isinstance(value, str | int | float):
            raise KafkaRefused(f"'{name}' must be a text, a number or true or false")
        passed[name] = _written(value)
    servers = settings.options["bootstrap_servers"]
    return {**defaults, **passed, **own, "bootstrap.servers": servers, "logger": _SILENT}


def without_secrets(text: str, settings: Settings) -> str:
    """A text of librdkafka's in which no password or key of ours can be read."""
    for value in _secrets(settings.options):
        text = text.replace(value, _MASK)
    return text


def _secrets(options: Mapping[str, object]) -> Collection[str]:
    return [
        str(value)
        for name, value in options.items()
        if value not in {"", None} and any(mark in name for mark in _SECRET)
    ]


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
