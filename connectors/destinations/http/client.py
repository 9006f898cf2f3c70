"""Requests to one origin, each over a connection to an address that was looked at.

The address is judged when the socket for it is made, so that the address that was judged is the one
that is connected to, whatever the name leads to a moment later.  No redirect is followed, no proxy
is taken from the environment, no cookie is kept, and of an answer no more is read than it may have.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from functools import cache

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from connectors.destinations.errors import DestinationError
from connectors.destinations.http.addresses import AllowedHosts, read_address
from connectors.destinations.http.exchange import InnerAddress, Reply, Request, Unanswered
from connectors.destinations.http.lookups import Lookups
from connectors.destinations.http.origin import Origin

_CONNECT_MOST = 5.0
_IDLE = 30.0
_HEADERS_MOST = 16 * 1024


class _AddressRefused(OSError):
    pass


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms an origin is spoken to.

    `timeout` is in seconds; `answer` is how many bytes of an answer are read.
    """

    allowed: AllowedHosts
    timeout: float
    connections: int
    ca: str | None
    answer: int


class Client:
    """Belongs to one event loop; a connection is made when there is something to send.

    Raises:
        DestinationError: the trusted certificates cannot be read.
    """

    def __init__(
        self, origin: Origin, terms: Terms, resolver: AbstractResolver | None = None
    ) -> None:
        self._origin = origin
        self._terms = terms
        self._resolver = resolver or Lookups()
        self._tls = _trusting(terms.ca) if origin.scheme == "https" else False
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, request: Request) -> Reply:
        """Send a request and read the answer.

        Raises:
            Unanswered: the network or the other side failed.
            InnerAddress: the host leads into an inner network.
        """
        try:
            return await self._ask(request)
        except TimeoutError as error:
            raise Unanswered(f"no whole answer within {self._terms.timeout:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "")
            raise Unanswered(
                f"the certificate of {self._origin.host} is not to be trusted: "
                f"{reason or error.certificate_error}"
            ) from error
        except (aiohttp.ClientConnectorSSLError, ssl.SSLError) as error:
            raise Unanswered(f"{self._origin} does not speak TLS as it should") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise Unanswered(f"{self._origin.host} cannot be looked up") from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _AddressRefused):
                raise InnerAddress(str(error.os_error)) from error
            reason = error.os_error.strerror or str(error.os_error)
            raise Unanswered(f"{self._origin} cannot be connected to: {reason}") from error
        except aiohttp.ClientPayloadError as error:
            raise Unanswered("the answer broke off") from error
        except aiohttp.ServerDisconnectedError as error:
            raise Unanswered("the connection was closed without an answer") from error
        except aiohttp.ClientResponseError as error:
            raise Unanswered(f"{self._origin} does not speak HTTP as it should") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise Unanswered(f"the connection was lost: {reason}") from error

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._resolver.close()

    async def _ask(self, request: Request) -> Reply:
        if self._session is None:
            self._session = self._opened()
        url = URL(str(self._origin) + request.target, encoded=True)
        async with self._session.request(
            request.method,
            url,
            data=request.body or None,
            headers=request.headers,
            allow_redirects=False,
        ) as response:
            most = self._terms.answer
            body = await _beginning(response.content, most + 1)
            return Reply(response.status, response.headers, body[:most], len(body) > most)

    def _opened(self) -> aiohttp.ClientSession:
        terms = self._terms
        connector = aiohttp.TCPConnector(
            limit=terms.connections,
            keepalive_timeout=_IDLE,
            resolver=self._resolver,
            ssl=self._tls,
            ttl_dns_cache=10,
            socket_factory=self._socket,
        )
        connect = min(terms.timeout, _CONNECT_MOST)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=terms.timeout, sock_connect=connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            # What is packed small may be large.
            headers={"Accept-Encoding": "identity", "User-Agent": "usher"},
            auto_decompress=False,
            max_field_size=_HEADERS_MOST,
            trust_env=False,
        )

    def _socket(self, found: aiohttp.AddrInfoType) -> socket.socket:
        """A socket for an address that a name led to, if it may be connected to."""
        family, kind, protocol, _, place = found
        address = read_address(str(place[0]))
        if not self._origin.trusted and (
            address is None or not self._terms.allowed.address(address)
        ):
            # The same text for all addresses, so that several refusals are one.
            raise _AddressRefused(
                f"{self._origin.host} leads into an inner network, where nothing is sent; if it "
                "is meant, list the host under allow_private_hosts"
            )
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


async def _beginning(content: aiohttp.StreamReader, most: int) -> bytes:
    """The first bytes of an answer; whoever sends more is not listened to."""
    parts, size = [], 0
    while size < most and (part := await content.read(most - size)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)


@cache
def _trusting(ca: str | None) -> ssl.SSLContext:
    """Verifies certificates; made once, as reading those of the system takes its time."""
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "it holds no certificates"
        raise DestinationError(f"the certificates of ca: cannot be read: {reason}") from error
