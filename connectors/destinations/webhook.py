"""The webhook: one POST a transition, signed as Standard Webhooks says.

The receiver tells repeats by `webhook-id`, which is the transition's id; the time of the signature
is that of the attempt.  With two secrets a request has two signatures, so that receivers may change
over from one to the other whenever they like.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook as Signer

from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Flaw, Record, Text
from connectors.destinations.destination import (
    Answer,
    Capacity,
    Exchange,
    Message,
    Outcome,
    Verdict,
)
from connectors.destinations.http.answers import judge
from connectors.destinations.http.channel import Channel
from connectors.destinations.http.exchange import Request
from connectors.destinations.http.log import json_text, masked, replies_to, request_text, shown_in
from connectors.destinations.http.options import CONNECTION, URL, connection_flaws
from connectors.destinations.http.secrets import Secrets
from connectors.destinations.place import Place

_PREFIX = "whsec_"
_SECRET = Text("a signing secret such as ${WEBHOOK_SECRET}", secret=True)


def _flaws(options: Mapping[str, object]) -> Iterator[Flaw]:
    yield from connection_flaws(options, str(options["url"]), ("url",))
    for name in ("secret", "old_secret"):
        if name in options and not _is_secret(str(options[name])):
            what = "this is not a secret of Standard Webhooks"
            advice = "make one: python -c \"import base64, os; print('whsec_' + "
            advice += 'base64.b64encode(os.urandom(32)).decode())"'
            yield Flaw((name,), what, advice)
    if "old_secret" in options and "secret" not in options:
        what = "'old_secret' is the secret before 'secret', which is missing"
        yield Flaw(("old_secret",), what, "call it secret")


OPTIONS = Record(
    "webhook",
    "An HTTPS endpoint, signed as Standard Webhooks says. Each request has one transition record, "
    "or what the sync's mapping makes of it, as JSON.",
    (
        Field("url", URL, "Where to send.", required=True),
        Field(
            "secret",
            _SECRET,
            "The signing secret, `whsec_` and 24 to 64 bytes in base64.",
            default="requests are not signed",
        ),
        Field(
            "old_secret",
            _SECRET,
            "The secret before, while receivers change over: requests are signed with both.",
            default="none",
        ),
        *CONNECTION,
    ),
    check=_flaws,
)


class Webhook:
    """Sends to one URL.

    Raises:
        DestinationError: nothing can be sent there with these options.
    """

    def __init__(self, settings: Settings, place: Place) -> None:
        options = settings.options
        url = str(options["url"])
        self._channel = Channel(settings.key, url, options, place)
        parts = urlsplit(url)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        secrets = [str(options[name]) for name in ("secret", "old_secret") if name in options]
        self._secrets = Secrets([*settings.filled, *secrets])
        self._shown_target = self._secrets.hide(parts.path) + ("?***" if parts.query else "")
        self._signers = [Signer(secret) for secret in secrets]
        self._encode = msgspec.json.Encoder().encode

    @property
    def capacity(self) -> Capacity:
        return Capacity(messages=1, requests=self._channel.requests)

    async def send(self, messages: Sequence[Message]) -> Answer:
        (message,) = messages
        try:
            request = self._request(message)
            shown = json_text(masked(message.body, shown_in(messages)))
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
            reason = "JSON has nothing like one of its values"
            return Answer([Outcome(Verdict.REJECTED, reason)], Exchange(""))
        exchange = request_text(self._channel.origin, request, shown, self._shown_target)
        if "." in message.id:
            reason = "the id of a transition cannot have a dot in it where it is signed"
            return Answer([Outcome(Verdict.REJECTED, reason)], Exchange(exchange))
        reply = await self._channel.ask(request)
        if isinstance(reply, Outcome):
            return Answer([reply], Exchange(exchange))
        said = replies_to(messages)(self._secrets.hide(reply.body.decode(errors="replace")))
        return Answer([judge(reply, time.time())], Exchange(exchange, said, reply.status))

    def describe(self, messages: Sequence[Message]) -> str:
        """The requests that would be sent, for people: all but signatures and secrets."""
        origin, target = self._channel.origin, self._shown_target
        return "\n\n".join(
            request_text(origin, self._request(one), json_text(one.body), target)
            for one in messages
        )

    async def test(self) -> None:
        await self._channel.test(self._target)

    async def close(self) -> None:
        await self._channel.close()

    def _request(self, message: Message) -> Request:
        body = self._encode(message.body)
        # The library takes the wall clock's numbers for those of UTC, whatever zone they are of.
        now = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if self._signers:
            signatures = [one.sign(message.id, now, body.decode()) for one in self._signers]
            headers["webhook-signature"] = " ".join(signatures)
        return Request("POST", self._target, headers, body)


def _is_secret(text: str) -> bool:
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX) + "==", validate=False)
    except binascii.Error:
        return False
    return text.startswith(_PREFIX) and 24 <= len(key) <= 64
