"""Where names lead, as the system says, found out in a thread of each client's own.

A look-up may hang for as long as a name server is silent, and nothing stops one that has begun.  In
threads that all share, two such names keep everybody else's from being looked up: uvloop has no
more of them.  Here a name that hangs holds up nobody but those who want to send there.
"""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from connectors.destinations.threads import Abandoned, Threads

# Seconds: the second name server of the system has its turn after five.
_LONGEST = 10.0
_NUMBERS = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


class Lookups(AbstractResolver):
    """Belongs to one event loop; its thread begins with the first look-up."""

    def __init__(self) -> None:
        self._threads = Threads("usher-names")

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a host.

        Raises:
            OSError: it has none, or nobody has said so in time.
        """
        try:
            async with asyncio.timeout(_LONGEST):
                return await self._threads.run(partial(_addresses, host, port, family))
        except (TimeoutError, Abandoned) as error:  # else taken for an end of the whole request
            raise OSError(f"where {host} leads was not found out in time") from error

    @override
    async def close(self) -> None:
        """Wait for nothing that is under way."""
        await self._threads.close()


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=socket.getnameinfo(place, _NUMBERS)[0],  # with the zone, where it has one
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, place in found
    ]
