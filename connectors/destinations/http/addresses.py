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
# Translators put an IPv4 address behind these; the second network has them where it likes.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_IPV4_BITS = 0xFFFF_FFFF

_NAME = re.compile(r"(?!-)[\w-]{1,63}(\.[\w-]{1,63})*\.?")


def is_inner(address: Address) -> bool:
    """Whether an address, or any that is written inside it, is not one of the internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64_LOCAL or address.is_site_local:
            return True
        if any(is_inner(one) for one in _embedded(address)):
            return True
    # The library calls 2002::/16 and NAT64 global, and some multicast as well.
    return not address.is_global or address.is_multicast or address in _METADATA


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & _IPV4_BITS))
    return [one for one in found if one is not None]


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
