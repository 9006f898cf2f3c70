"""Seals: bytes that go into a store which does not notice when a bit of them is lost."""

from __future__ import annotations

import hashlib

_DIGEST_BYTES = 8


class BrokenSeal(Exception):
    """The bytes are not as they were sealed."""


def sealed(content: bytes) -> bytes:
    return _digest(content) + content


def unsealed(stored: bytes) -> bytes:
    """The content.

    Raises:
        BrokenSeal: see there.
    """
    content = stored[_DIGEST_BYTES:]
    if stored[:_DIGEST_BYTES] != _digest(content):
        raise BrokenSeal("a stored record does not match its checksum")
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
