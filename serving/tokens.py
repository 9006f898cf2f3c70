"""What a key looks like: `usher_ID_SECRETCHECK`.

The id is public and names the key in lists.  The secret has 256 random bits, so a plain digest of
it is as good as a slow one: there is nothing to guess.  Its check is there for those who search
code and logs for keys that have leaked, and for those who paste half of one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

_DIGITS = string.digits + string.ascii_letters
_ID, _SECRET, _CHECK = 8, 43, 6
_SHAPE = re.compile(
    rf"usher_([0-9a-z]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECK}}})"
)

# Compared with where there is no key of an id, which must take as long as where there is one.
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class Token(NamedTuple):
    id: str
    secret: str

    @property
    def text(self) -> str:
        return f"usher_{self.id}_{self.secret}{_check(self.id, self.secret)}"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def is_of(self, digest: str | None) -> bool:
        """Whether this is the key of that digest; of none, in the same time, it is not."""
        return hmac.compare_digest(self.digest, digest or _NOBODY) and digest is not None


def new_token() -> Token:
    letters = string.digits + string.ascii_lowercase
    return Token(_random(letters, _ID), _random(_DIGITS, _SECRET))


def read_token(text: str) -> Token | None:
    """The key that a text is, unless it is none or mistyped."""
    found = _SHAPE.fullmatch(text)
    if found is None or _check(found[1], found[2]) != found[3]:
        return None
    return Token(found[1], found[2])


def bearer_of(authorization: str) -> str:
    """What a header of that name shows, `Bearer KEY`; empty if it shows something else."""
    how, _, given = authorization.partition(" ")
    return given.strip() if how.lower() == "bearer" else ""


def _random(letters: str, count: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(count))


def _check(id: str, secret: str) -> str:
    number, digits = zlib.crc32(f"{id}_{secret}".encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
