"""The scheme, host and port that a destination's requests go to; no template has a say in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from connectors.destinations.http.addresses import AllowedHosts, plain_name, read_address

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?|\[[0-9A-Fa-f:.]+\]")
# What the C library takes for an address: 0x7f.1, 2130706433, 017700000001, 127.1.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LONGEST = 253


class OriginRefused(Exception):
    """Nothing is sent there; the text says why, without the URL, which may be secret."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Origin:
    """`host` is a name or an address, which is none of an inner network unless it is allowed.

    Where a name leads to is seen when it is connected to; `trusted` says that it does not matter.
    """

    scheme: str
    host: str
    port: int
    trusted: bool = False

    @classmethod
    def read(cls, url: str, *, allow_http: bool, allowed: AllowedHosts) -> Origin:
        """The origin of a URL.

        Raises:
            OriginRefused: it is malformed, without encryption, or inside.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            advice = "write https://host/path or https://host:port/path"
            raise OriginRefused("this is not a URL", advice) from error
        if parts.scheme not in {"https", "http"}:
            raise OriginRefused("this is not a URL of http", "write https://host/path")
        if parts.scheme == "http" and not allow_http:
            advice = "write https://, or allow_http: true where nobody can listen"
            raise OriginRefused("http:// is not encrypted", advice)
        if "@" in parts.netloc:
            advice = "keep the user and the password under auth"
            raise OriginRefused("a URL has no place for a user or a password", advice)
        written = parts.netloc.removesuffix(f":{parts.port}").removesuffix(":")
        if not _HOST.fullmatch(written) or len(written) > _LONGEST:
            advice = "write the host in plain letters; other alphabets in the form xn--…"
            raise OriginRefused("this has no host that could be looked up", advice)
        host = plain_name(written.strip("[]"))
        address = read_address(host)
        if address is None and _NUMBER.fullmatch(host.rpartition(".")[2]):
            advice = "write it as four decimal numbers, like 192.0.2.1"
            raise OriginRefused("the host is an address in an unusual spelling", advice)
        inner = _is_local(host) if address is None else not allowed.address(address)
        if inner and not allowed.name(host):
            advice = "if it is meant, list the host under allow_private_hosts"
            raise OriginRefused("the host is in an inner network", advice)
        return cls(parts.scheme, host, port, allowed.name(host))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")
