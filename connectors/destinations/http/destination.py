"""The generic HTTP destination, which the presets are made of as well."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from connectors.destinations.destination import (
    Answer,
    Capacity,
    Exchange,
    Message,
    Outcome,
    Verdict,
    Window,
)
from connectors.destinations.http.authorization import Authorization
from connectors.destinations.http.channel import Channel
from connectors.destinations.http.composition import Composed, Composition, Unfit, literals
from connectors.destinations.http.exchange import Reply, Request
from connectors.destinations.http.log import cut, replies_to, request_text, shown_in
from connectors.destinations.http.rules import Rules
from connectors.destinations.http.secrets import Secrets
from connectors.destinations.http.tokens import Tokens
from connectors.destinations.place import Place

_SECOND = 1_000_000
_SHOWN = 64 << 10  # bytes of an answer of which people may see some
# What keeps later messages back, which may be of the same users.
_STOPPING = frozenset(set(Verdict) - {Verdict.ACCEPTED, Verdict.REJECTED})


class HttpDestination:
    """Sends as the options of `http` say.

    Entries and exits that are spelt differently travel in requests of their own, one after another,
    so that a user's order is kept.  `known` is what templates find under `options`, `secrets` what
    no text for people may have.

    Raises:
        DestinationError: nothing can be sent with these options.
    """

    def __init__(
        self,
        key: str,
        options: Mapping[str, Any],
        place: Place,
        known: Mapping[str, object] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        authorization = Authorization.read(options.get("auth"))
        hidden = {*authorization.secrets, *secrets}
        self._secrets = Secrets(hidden)
        self._batch = int(options.get("batch", 1))
        self._most = options.get("max_bytes")
        self._differ = bool(options.get("entered") or options.get("exited"))
        visible = {
            name: value
            for name, value in (known or {}).items()
            if not (isinstance(value, str) and value in hidden)
        }
        self._compositions = {
            entered: Composition(
                {**options, **(options.get("entered" if entered else "exited") or {})},
                self._batch,
                authorization,
                known or {},
            )
            for entered in (True, False)
        }
        self._literals = literals(self._compositions.values()) - hidden
        self._literals |= {str(value) for value in visible.values()}
        self._rules = Rules(options)
        url = self._compositions[True].url
        self._channel = Channel(key, url.origin, options, place)
        auth = options.get("auth") or {}
        self._tokens = Tokens(key, auth, options, place) if "token_url" in auth else None
        windows = tuple(
            Window(one["requests"], one["per"] / _SECOND) for one in options.get("limits") or ()
        )
        self._capacity = Capacity(self._batch, self._channel.requests, windows)

    @property
    def capacity(self) -> Capacity:
        return self._capacity

    async def send(self, messages: Sequence[Message]) -> Answer:
        outcomes: dict[int, Outcome] = {}
        exchanges: list[Exchange] = []
        stopped: Outcome | None = None
        for group in self._groups(messages):
            if stopped is not None:
                outcomes.update(dict.fromkeys(group, stopped))
                continue
            answer = await self._send([messages[index] for index in group])
            outcomes.update(zip(group, answer.outcomes, strict=True))
            exchanges.append(answer.exchange)
            stopped = next((one for one in answer.outcomes if one.verdict in _STOPPING), None)
        return Answer([outcomes[index] for index in range(len(messages))], _joined(exchanges))

    def describe(self, messages: Sequence[Message]) -> str:
        """The requests that would be sent, for people: in full, but for secrets.

        Raises:
            DestinationError: never; what cannot be put into a request is said in its place.
        """
        texts = []
        for group in self._groups(messages):
            of = [messages[index] for index in group]
            composition = self._compositions[of[0].entered]
            try:
                composed = composition.compose(
                    of, [composition.item(one) for one in of], lambda _value: True
                )
            except Unfit as error:
                texts.append(f"nothing is sent: {error}")
            else:
                texts.append(self._text(composed))
        return "\n\n".join(texts)

    async def test(self) -> None:
        await self._channel.test("/")

    async def close(self) -> None:
        await self._channel.close()
        if self._tokens is not None:
            await self._tokens.close()

    def _groups(self, messages: Sequence[Message]) -> list[list[int]]:
        """Indexes of the messages that go into a request each, in the order of the requests."""
        if not self._differ:
            return [list(range(len(messages)))]
        groups: list[list[int]] = []
        kinds: list[bool] = []
        last: dict[str, int] = {}  # the group of each user's latest message
        for index, message in enumerate(messages):
            number = last.get(message.user_id, 0)
            while number < len(groups) and kinds[number] != message.entered:
                number += 1
            if number == len(groups):
                groups.append([])
                kinds.append(message.entered)
            groups[number].append(index)
            last[message.user_id] = number
        return groups

    async def _send(self, messages: Sequence[Message]) -> Answer:
        """Send messages of one action, without those that have no form."""
        composition = self._compositions[messages[0].entered]
        outcomes: dict[int, Outcome] = {}
        items: list[Any] = []
        for index, message in enumerate(messages):
            try:
                items.append(composition.item(message))
            except Unfit as error:
                outcomes[index] = Outcome(Verdict.REJECTED, str(error))
        fit = [one for index, one in enumerate(messages) if index not in outcomes]
        exchange = Exchange("")
        if fit:
            answer = await self._exchange(composition, fit, items)
            exchange = answer.exchange
            given = iter(answer.outcomes)
            outcomes |= {i: next(given) for i in range(len(messages)) if i not in outcomes}
        return Answer([outcomes[index] for index in range(len(messages))], exchange)

    async def _exchange(
        self, composition: Composition, messages: Sequence[Message], items: Sequence[Any]
    ) -> Answer:
        count = len(messages)
        apart = Verdict.TOO_LARGE if count > 1 else Verdict.REJECTED
        try:
            composed = composition.compose(messages, items, shown_in(messages, self._literals))
        except Unfit as error:
            return Answer([Outcome(apart, str(error))] * count, Exchange(""))
        said = self._text(composed)
        if self._most is not None and composed.length > self._most:
            reason = f"its body has {composed.length:,} bytes, and {self._most:,} are the most"
            return Answer([Outcome(apart, reason)] * count, Exchange(said))
        reply = await self._asked(composed.request)
        if isinstance(reply, Outcome):
            return Answer([reply] * count, Exchange(said))
        granted = Secrets(self._tokens.kept if self._tokens else ())

        shown = replies_to(messages)

        @cache  # thousands of messages have few reasons
        def told(text: str) -> str:
            return shown(granted.hide(self._secrets.hide(text))) if text else ""

        outcomes = [
            Outcome(one.verdict, told(one.reason), one.wait)
            for one in self._rules.judge(reply, time.time(), count)
        ]
        answered = told(reply.body[:_SHOWN].decode(errors="replace"))
        return Answer(outcomes, Exchange(said, answered, reply.status))

    async def _asked(self, request: Request) -> Reply | Outcome:
        """The answer to a request, which is made once more with a new token if one is refused."""
        if self._tokens is None:
            return await self._channel.ask(request)
        token = await self._tokens.token()
        reply = await self._granted(request, token)
        if isinstance(token, str) and isinstance(reply, Reply) and reply.status == 401:
            self._tokens.forget(token)
            reply = await self._granted(request, await self._tokens.token())
        return reply

    async def _granted(self, request: Request, token: str | Outcome) -> Reply | Outcome:
        if isinstance(token, Outcome):
            return token
        headers = {**request.headers, "authorization": f"Bearer {token}"}
        return await self._channel.ask(replace(request, headers=headers))

    def _text(self, composed: Composed) -> str:
        """A request for people, all of whom may know the host."""
        body, target = map(self._secrets.hide, (composed.body, composed.target))
        headers = {name: self._secrets.hide(one) for name, one in composed.request.headers.items()}
        shown = replace(composed.request, headers=headers)
        return request_text(self._channel.origin, shown, body, target)


def _joined(exchanges: Sequence[Exchange]) -> Exchange:
    """Several exchanges as one, which has the last one's status."""
    return Exchange(
        cut("\n\n".join(one.request for one in exchanges if one.request)),
        cut("\n\n".join(one.response for one in exchanges if one.response)),
        exchanges[-1].status,
    )
