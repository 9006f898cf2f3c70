"""Whose a request is: nobody chooses it by what they tell."""

from __future__ import annotations

import pytest

from serving.clients import address_of, client_of


def address(*lines: str, socket: str = "198.51.100.1", is_behind_proxy: bool = True) -> str:
    headers = [(b"x-forwarded-for", one.encode()) for one in lines]
    scope = {"client": (socket, 1), "headers": [(b"a", b"b"), *headers, (b"c", b"d")]}
    return address_of(scope, is_behind_proxy=is_behind_proxy)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((), "198.51.100.1"),
        (("",), "198.51.100.1"),
        (("192.0.2.1",), "192.0.2.1"),
        (("made up, 192.0.2.9,192.0.2.1",), "192.0.2.1"),
        (("192.0.2.9", "192.0.2.1"), "192.0.2.1"),
        (("192.0.2.9, 192.0.2.8", "192.0.2.7, 192.0.2.1"), "192.0.2.1"),
        (("192.0.2.1:5678",), "192.0.2.1"),
        (("[2001:db8::1]:80",), "2001:db8::1"),
        (("[2001:db8::1]",), "2001:db8::1"),
        (("2001:DB8:0:0::1",), "2001:db8::1"),
        (("::ffff:192.0.2.1",), "192.0.2.1"),
        (("[::ffff:192.0.2.1]:80",), "192.0.2.1"),
        (("unknown",), ""),
        (("192.0.2.1:a:b",), ""),
        (("x" * 60_000,), ""),
    ],
)
def test_behind_a_proxy_it_is_what_that_has_added(lines: tuple[str, ...], found: str) -> None:
    assert address(*lines) == found


def test_without_a_proxy_it_is_the_socket_s() -> None:
    assert address("192.0.2.1", is_behind_proxy=False) == "198.51.100.1"
    assert address("192.0.2.1", socket="::ffff:192.0.2.2", is_behind_proxy=False) == "192.0.2.2"


def test_a_network_of_ipv6_is_one_client() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff:0:0:1") != client_of("2001:db9::1")
    assert client_of("192.0.2.1") != client_of("192.0.2.2")
    assert client_of("") == ""
