"""Which addresses are sent to: those of the internet, and what an operator has allowed besides.

A URL is somebody's input, and names lead where their owners like: a request to an inner address
would give them this machine's place in the network, and in a cloud its credentials.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Public by their number, yet answered by the machine that hosts this one.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
# Networks that protocols have for themselves: hosts of the internet have no address there, and a
# cloud has its credentials in the first.  The others hold IPv4 addresses, of translators, 6to4 and
# Teredo.  Releases of Python do not agree on which of these are global.
_OF_PROTOCOLS: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("2001::/23"),
    ipaddress.IPv6Network("2002::/16"),
)
# Translators put an IPv4 address behind these.
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96")
_IPV4_BITS = 0xFFFF_FFFF

_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")


def is_inner(address: Address) -> bool:
    """Whether an address, or one that is written inside it, is not one of the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = _inside(address)
        if address.is_site_local or (inside is not None and is_inner(inside)):
            return True
    if any(address in network for network in _OF_PROTOCOLS):
        return True
    # The library calls some multicast global as well.
    return not address.is_global or address.is_multicast or address in _METADATA


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & _IPV4_BITS)
    return address.ipv4_mapped


def read_address(host: str) -> Address | None:
    """The address that a host is, if it is one and no name; brackets and zones are cut off."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The inner hosts that may be sent to; `malformed` has the indexes of what cannot be read."""

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    malformed: tuple[int, ...] = ()

    @classmethod
    def read(cls, written: Sequence[str]) -> AllowedHosts:
        names, networks, malformed = set(), [], []
        for index, one in enumerate(written):
            try:
                networks.append(ipaddress.ip_network(one.strip("[]"), strict=False))
            except ValueError:
                if _NAME.fullmatch(one):
                    names.add(plain_name(one))
                else:
                    malformed.append(index)
        return cls(frozenset(names), tuple(networks), tuple(malformed))

    def name(self, host: str) -> bool:
        """Whether a host may be sent to wherever it is."""
        return plain_name(host) in self.names

    def address(self, address: Address) -> bool:
        """Whether an address may be sent to."""
        inside = any(
            address in network for network in self.networks if network.version == address.version
        )
        return inside or not is_inner(address)


def plain_name(host: str) -> str:
    """One spelling for all of a name's: small letters, no dot at the end."""
    return host.casefold().rstrip(".")
