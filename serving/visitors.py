"""Tokens for browsers: of one user and for a while, so that no key has to be in a page.

Whoever has a key exchanges it for a token on a server of their own, and hands that to the page.  A
token says itself whose it is, so there is nothing to store; it ends with its key at the latest.
It is signed with a secret of the project's folder, not with what the store has of keys: otherwise
whoever reads the store could make them.  Who removes the secret, as it has leaked, ends all tokens:
so servers look now and then whether it is still the same.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import math
import os
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from pathlib import Path

import msgspec

from dataflows.ownership import usher_folder

_PREFIX = "visitor_"
_FILE = "visitors.key"
_BYTES = 32

# Seconds between two looks at the file.
_LOOK = 1.0


_Stamp = tuple[int, int, int]


class Visitor(msgspec.Struct, frozen=True, array_like=True):
    """Whom a token is for; `expires_at` is in microseconds, `key` the id of the key it is of."""

    key: str
    expires_at: int
    parent_model: str
    user_id: str


class Visitors:
    """Makes and reads tokens; all servers of a project's folder understand each other's."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._secret = b""
        self._seen: _Stamp | None = None
        self._look_at = -math.inf

    def token(self, visitor: Visitor) -> str:
        """Raises OSError: the secret can be neither read nor made."""
        body = msgspec.msgpack.encode(visitor)
        return _PREFIX + urlsafe_b64encode(self._signature(body) + body).decode().rstrip("=")

    def read(self, text: str) -> Visitor | None:
        """Whom a token is for, as long as its key says so; `None` if it is none of ours.

        Raises:
            OSError: the secret can be neither read nor made.
        """
        if not text.startswith(_PREFIX):
            return None
        given = text.removeprefix(_PREFIX)
        with suppress(ValueError, msgspec.MsgspecError):
            data = urlsafe_b64decode(given + "=" * (-len(given) % 4))
            if hmac.compare_digest(self._signature(data[_BYTES:]), data[:_BYTES]):
                return msgspec.msgpack.decode(data[_BYTES:], type=Visitor)
        return None

    def _signature(self, body: bytes) -> bytes:
        if time.monotonic() >= self._look_at:
            self._renew()
        return hmac.digest(self._secret, body, hashlib.sha256)

    def _renew(self) -> None:
        """Have the secret of now; where that fails, the one before is of no use either."""
        path = usher_folder(self._root) / _FILE
        found = _stamp(path)
        if found is None or found != self._seen:
            self._secret = _secret(path)
            self._seen = found
        self._look_at = time.monotonic() + _LOOK


def _stamp(path: Path) -> _Stamp | None:
    """Another one for another file, also of the same name; `None` if there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_mtime_ns, facts.st_ino, facts.st_size


def _secret(path: Path) -> bytes:
    """What the file has; made whole or not at all, whoever else makes it at the same time.

    Raises:
        OSError: it cannot be read or made, or is too short to be a secret.
    """
    with suppress(FileNotFoundError):
        return _read(path)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(aside, path)
    aside.unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    found = path.read_bytes()
    if len(found) < _BYTES:
        reason = f"it has fewer than {_BYTES} bytes; remove it, and a new one is made"
        raise OSError(errno.EINVAL, reason, str(path))
    return found
