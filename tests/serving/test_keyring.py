"""Whether a key is valid is found out with as much work for one kind that is not as for another."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors.wall_clock import wall_clock
from membership.keys import ApiKey
from serving.keyring import Keyring
from serving.tokens import Token, new_token

VALID, REVOKED, EXPIRED, UNKNOWN = (new_token() for _ in range(4))


class Store:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self) -> Sequence[ApiKey]:
        self.reads += 1
        return [key(VALID), key(REVOKED, revoked_at=1), key(EXPIRED, expires_at=1)]


def key(token: Token, expires_at: int | None = None, revoked_at: int | None = None) -> ApiKey:
    return ApiKey(
        id=token.id,
        digest=token.digest,
        name="",
        scopes=("admin",),
        audiences=None,
        created_at=wall_clock(),
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


@pytest.mark.parametrize(
    "token",
    [UNKNOWN, Token(VALID.id, UNKNOWN.secret), REVOKED, EXPIRED],
    ids=["unknown", "wrong", "revoked", "expired"],
)
def test_what_is_not_valid_is_looked_up_once_more_and_not_for_each_of_many(token: Token) -> None:
    store = Store()
    keyring = Keyring(store)
    assert keyring.find(VALID) is not None
    assert store.reads == 1
    assert keyring.find(token) is None
    assert store.reads == 2
    for _ in range(1_000):
        keyring.find(token)
    assert store.reads < 500
    assert keyring.find(VALID) is not None
