"""Headers that keep browsers from taking an answer for anything else than it is."""

from __future__ import annotations

from typing import Final

Headers = tuple[tuple[bytes, bytes], ...]

SAFE: Final = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_TLS: Final = ((b"strict-transport-security", b"max-age=31536000"),)


def safe(scheme: str) -> Headers:
    """Those of an answer to a request by this scheme."""
    return (*SAFE, *_TLS) if scheme == "https" else SAFE
