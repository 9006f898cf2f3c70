"""Whether a key is valid is found out with as much work for one kind that is not as for another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from connectors.wall_clock import wall_clock
from membership.errors import StoreUnavailable
from membership.keys import ApiKey
from serving import keyring as keyrings
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


class Silent:
    """A store that says nothing until it is let, and then that it cannot be read."""

    def __init__(self) -> None:
        self.attempts = 0
        self.may_end = threading.Event()

    def __call__(self) -> Sequence[ApiKey]:
        self.attempts += 1
        self.may_end.wait(30)
        raise StoreUnavailable("it does not answer")


@pytest.fixture
def silent() -> Iterator[Silent]:
    one = Silent()
    yield one
    one.may_end.set()


def in_threads(keyring: Keyring) -> list[object]:
    """What 60 who ask at once are told."""

    def told(_: int) -> object:
        try:
            return keyring.find(VALID)
        except StoreUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(60) as many:
        return list(many.map(told, range(60)))


def on_a_loop(keyring: Keyring) -> list[object]:
    async def asked() -> list[object]:
        every = (keyring.found(VALID) for _ in range(60))
        return [
            str(one) if isinstance(one, StoreUnavailable) else one
            for one in await asyncio.gather(*every, return_exceptions=True)
        ]

    return asyncio.run(asked())


@pytest.mark.parametrize("ask", [in_threads, on_a_loop])
def test_all_who_wait_are_told_of_one_failure(
    silent: Silent, ask: Callable[[Keyring], list[object]]
) -> None:
    keyring = Keyring(silent)
    threading.Timer(0.2, silent.may_end.set).start()
    assert set(ask(keyring)) == {"it does not answer"}
    assert silent.attempts == 1


def test_a_failure_is_believed_for_half_a_second() -> None:
    store, is_well = Store(), threading.Event()

    def read() -> Sequence[ApiKey]:
        if not is_well.is_set():
            raise StoreUnavailable("it does not answer")
        return store()

    keyring = Keyring(read)
    began = time.monotonic()
    assert set(in_threads(keyring)) == {"it does not answer"}
    is_well.set()
    while isinstance(in_threads(keyring)[0], str):
        """It is still believed."""
    assert 0.4 < time.monotonic() - began < 20
    assert keyring.find(VALID) is not None


@pytest.mark.parametrize("ask", [in_threads, on_a_loop])
def test_nobody_waits_long_for_a_store_that_says_nothing(
    silent: Silent, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Keyring], list[object]]
) -> None:
    monkeypatch.setattr(keyrings, "_PATIENCE", 1.0)
    keyring = Keyring(silent)
    (said,) = set(ask(keyring))
    assert said == "the store has not said for 1 s which keys there are"
    began = time.monotonic()
    assert set(ask(keyring)) == {said}
    assert time.monotonic() - began < 0.9
    assert silent.attempts == 1


def test_a_key_that_was_made_while_others_are_read_is_found() -> None:
    """A reading that has begun may not have seen it."""
    made, may_end, has_begun = [key(VALID)], threading.Event(), threading.Event()

    def read() -> Sequence[ApiKey]:
        found = list(made)
        has_begun.set()
        assert may_end.wait(30)
        return found

    keyring = Keyring(read)
    with ThreadPoolExecutor(2) as many:
        first = many.submit(keyring.find, VALID)
        assert has_begun.wait(30)
        new = new_token()
        made.append(key(new))
        second = many.submit(keyring.find, new)
        may_end.set()
        assert first.result() is not None
        found = second.result()
        assert found is not None
        assert found.id == new.id
