"""Tokens of OAuth 2 by client credentials: asked for when one is needed, kept while they last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import msgspec

from connectors.destinations.destination import Outcome, Verdict
from connectors.destinations.http.answers import judge, said
from connectors.destinations.http.channel import Channel
from connectors.destinations.http.exchange import Request
from connectors.destinations.place import Place

# Seconds: a token is given up so long before it ends, and lasts so long if nobody says.
_EARLY = 60.0
_LASTS = 3600.0


class Tokens:
    """The tokens of one client; `auth` is the option of that name, `options` are all of them.

    Raises:
        DestinationError: nothing is sent to `token_url` with these options.
    """

    def __init__(
        self, key: str, auth: Mapping[str, str], options: Mapping[str, object], place: Place
    ) -> None:
        url = urlsplit(auth["token_url"])
        self._channel = Channel(key, auth["token_url"], options, place)
        form = {
            "grant_type": "client_credentials",
            "client_id": auth["client_id"],
            "client_secret": auth["client_secret"],
        }
        if "scope" in auth:
            form["scope"] = auth["scope"]
        self._request = Request(
            "POST",
            (url.path or "/") + (f"?{url.query}" if url.query else ""),
            {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"},
            urlencode(form).encode(),
        )
        self._token = ""
        self._ends = 0.0
        self._asking = asyncio.Lock()

    @property
    def kept(self) -> tuple[str, ...]:
        """The tokens that are known, which no text for people may have."""
        return (self._token,) if self._token else ()

    async def token(self) -> str | Outcome:
        """The token in force, or what is to be done as there is none."""
        async with self._asking:
            if not self._token or time.monotonic() >= self._ends:
                outcome = await self._ask()
                if outcome is not None:
                    return outcome
            return self._token

    def forget(self, token: str) -> None:
        """A token was refused; the next one is asked for."""
        if token == self._token:
            self._token = ""

    async def close(self) -> None:
        await self._channel.close()

    async def _ask(self) -> Outcome | None:
        reply = await self._channel.ask(self._request)
        if isinstance(reply, Outcome):
            return Outcome(reply.verdict, f"no token: {reply.reason}", reply.wait)
        if reply.status >= 300:
            outcome = judge(reply, time.time())
            again = outcome.verdict is Verdict.RETRY
            verdict = Verdict.RETRY if again else Verdict.REFUSED
            advice = "" if again else "; check the credentials"
            reason = f"no token: {self._channel.origin} {said(reply)}{advice}"
            return Outcome(verdict, reason, outcome.wait)
        try:
            granted = msgspec.json.decode(reply.body, type=_Granted)
        except msgspec.DecodeError:
            return Outcome(Verdict.RETRY, f"no token: {self._channel.origin} sent none")
        self._token = granted.access_token
        self._ends = time.monotonic() + max(granted.expires_in - _EARLY, 0.0)
        return None


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: float = _LASTS
