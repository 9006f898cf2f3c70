"""What everything that speaks HTTP is told in YAML, and what is wrong with a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audience_dsl.connections import FILE
from audience_dsl.durations import HOUR
from audience_dsl.shapes import Duration, Field, Flag, Flaw, Integer, ListOf, Text
from connectors.destinations.http.addresses import AllowedHosts
from connectors.destinations.http.origin import Origin, OriginRefused

URL = Text("a URL such as https://example.com/hook", r"https?://\S+")

CONNECTION = (
    Field(
        "timeout",
        Duration(HOUR, "nobody waits longer than an hour for an answer"),
        "How long a request may take, from the connection to the last byte of the answer.",
        default="`15s`",
    ),
    Field(
        "concurrency",
        Integer(1, 1_000, "nothing would be sent", "no host takes so many"),
        "Requests at a time.",
        default="`8`",
    ),
    Field("allow_http", Flag(), "Allow http://, without encryption.", default="false"),
    Field(
        "allow_private_hosts",
        ListOf(Text()),
        "What may be sent to in an inner network: names, addresses, or networks such as "
        "10.1.0.0/16.",
        default="none",
    ),
    Field("ca", FILE, "The certificates that are trusted.", default="the system's"),
)


def connection_flaws(
    options: Mapping[str, object], url: str, path: tuple[str | int, ...]
) -> Iterator[Flaw]:
    """What is wrong with a URL, which stands at the path, beside these options."""
    hosts = options.get("allow_private_hosts") or []
    allowed = AllowedHosts.read([str(one) for one in hosts] if isinstance(hosts, list) else [])
    for index in allowed.malformed:
        what = "this is neither a name nor an address nor a network"
        yield Flaw(("allow_private_hosts", index), what, "write it like inner.example, 10.1.2.3 "
                   "or 10.1.0.0/16, without a scheme or port")  # fmt: skip
    try:
        Origin.read(url, allow_http=bool(options.get("allow_http")), allowed=allowed)
    except OriginRefused as refused:
        yield Flaw(path, str(refused), refused.advice)
