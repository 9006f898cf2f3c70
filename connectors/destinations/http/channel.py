"""An origin on the terms of a definition: what is asked there comes back as a reply or an outcome.

The client's library is imported when the first channel is opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from connectors.destinations.destination import Outcome, Verdict
from connectors.destinations.errors import DestinationError
from connectors.destinations.http.addresses import AllowedHosts
from connectors.destinations.http.exchange import InnerAddress, Reply, Request, Unanswered
from connectors.destinations.http.origin import Origin, OriginRefused
from connectors.destinations.place import Place

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

_SECOND = 1_000_000
REQUESTS = 8  # at a time
# Bytes that are read of an answer: of one that may speak of each message, some for each.
_ANSWER_LEAST = 64 << 10
_ANSWER_EACH = 4 << 10
_ANSWER_MOST = 4 << 20


class Channel:
    """Speaks to the origin of a URL; `resolver` looks names up in the place of the system's.

    Raises:
        DestinationError: nothing is sent to this URL with these options, or `ca` cannot be read.
    """

    def __init__(
        self,
        key: str,
        url: str,
        options: Mapping[str, object],
        place: Place,
        resolver: AbstractResolver | None = None,
    ) -> None:
        from connectors.destinations.http.client import Client, Terms

        allowed = AllowedHosts.read(_texts(options.get("allow_private_hosts")))
        try:
            self.origin = Origin.read(
                url, allow_http=options.get("allow_http") is True, allowed=allowed
            )
        except OriginRefused as error:
            advice = f"; {error.advice}" if error.advice else ""
            raise DestinationError(f"the URL of destination '{key}': {error}{advice}") from error
        timeout, ca = options.get("timeout"), options.get("ca")
        self.requests = _number(options.get("concurrency"), REQUESTS)
        terms = Terms(
            allowed,
            _number(timeout, 15 * _SECOND) / _SECOND,
            self.requests,
            None if ca is None else str(place.root / str(ca)),
            min(max(_ANSWER_LEAST, _number(options.get("batch"), 1) * _ANSWER_EACH), _ANSWER_MOST),
        )
        self._key = key
        self._client = Client(self.origin, terms, resolver)

    async def ask(self, request: Request) -> Reply | Outcome:
        """The reply, or what is to be done where there is none; never raises for the network."""
        try:
            return await self._client.ask(request)
        except Unanswered as error:
            return Outcome(Verdict.RETRY, str(error))
        except InnerAddress as error:
            # Somebody may have changed where the name leads: nothing is dropped for that.
            return Outcome(Verdict.REFUSED, str(error))

    async def test(self, target: str) -> None:
        """Ask for the head of a page, without credentials; any answer will do.

        Raises:
            DestinationError: there is none.
        """
        answer = await self.ask(Request("HEAD", target))
        if isinstance(answer, Outcome):
            raise DestinationError(f"destination '{self._key}': {answer.reason}")

    async def close(self) -> None:
        await self._client.close()


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
