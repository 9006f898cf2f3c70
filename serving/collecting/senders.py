"""Who sends calls with a key of `usher keys`, and not with the write key of a source.

A write key stands in every page, cannot be revoked for one of its users, and says which source it
is for.  A key with the scope `events:write` is for scripts and servers: it can be revoked alone,
expires, and is for any source, which the request names if there are several.
"""

from __future__ import annotations

from typing import Final

from connectors.sources.requests.request import Request
from membership.errors import StoreError
from serving.collecting.answers import Refused, later, refusal
from serving.collecting.figures import Outcome
from serving.collecting.streams import Stream, Streams
from serving.keyring import Keyring
from serving.problems import Problem
from serving.scopes import Scope
from serving.tokens import Token, bearer_of, read_token

_UNREAD: Final = later(503, "keys_unread", "keys cannot be read now; send them again", 1)


class Senders:
    def __init__(self, keyring: Keyring, streams: Streams) -> None:
        self._keyring = keyring
        self._streams = streams

    async def stream_of(self, request: Request) -> Stream | None:
        """Where a request's key sends to; `None` if it shows none of ours.

        Raises:
            Refused: the key does not allow it, there is no such source, or keys cannot be read.
        """
        token = read_token(bearer_of(request.header("authorization") or ""))
        if token is None:
            return None
        await self._check(token)
        named = request.parameter("source")
        found = [one for one in self._streams.of_calls if named in (None, one.key)]
        if len(found) != 1:
            keys = ", ".join(one.key for one in self._streams.of_calls) or "none"
            message = f"say which source it is for, as ?source=KEY; there is {keys}"
            raise Refused(refusal(400, "unknown_source", message), Outcome.REFUSED)
        return found[0]

    async def _check(self, token: Token) -> None:
        try:
            self._keyring.check(await self._keyring.found(token), (Scope.EVENTS_WRITE,))
        except Problem as problem:
            answer = refusal(400, "unknown_sender", problem.detail)
            raise Refused(answer, Outcome.UNKNOWN_SENDER) from problem
        except StoreError as error:
            raise Refused(_UNREAD, Outcome.NOT_WRITTEN) from error
