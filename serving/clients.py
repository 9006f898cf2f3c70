"""Whose a request is: the address of its sender, as the socket has it or the proxy in front.

A proxy adds the address by which it was asked to what a client has told, behind it or in a line of
its own.  So the last address of the last line is true, and all before it may be made up.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

# Characters of an address with a port.
_LONGEST = 64

# Addresses: who has sent one request sends another.
_REMEMBERED = 4_096


def address_of(scope: Scope, *, is_behind_proxy: bool) -> str:
    """The sender's; empty if it is not known."""
    told = scope["client"][0] if scope.get("client") else ""
    if is_behind_proxy:
        told = _forwarded(scope) or told
    return _read(told) if len(told) <= _LONGEST else ""


@lru_cache(_REMEMBERED)
def client_of(address: str) -> str:
    """Who counts as one: of an IPv6 network, the first 64 bits, all addresses do."""
    return IPv6Address(address).exploded[:19] if ":" in address else address


def _forwarded(scope: Scope) -> str:
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    listed: bytes = lines[-1] if lines else b""
    return listed.rpartition(b",")[2].decode("latin-1").strip()


@lru_cache(_REMEMBERED)
def _read(told: str) -> str:
    try:
        address = ip_address(_without_port(told))
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _without_port(told: str) -> str:
    if told.startswith("["):
        return told[1:].partition("]")[0]
    return told.partition(":")[0] if told.count(":") == 1 else told
