"""Versions of a snapshot that deliveries keep, on disks that do not always take what is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from delivery.pins import PinnedProfiles
from membership.errors import StoreUnavailable
from membership.ledger import Ledger
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from tests.delivery.profiles import users
from warehouse.versions import default_store


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(MembershipStore(SqliteDatabase(tmp_path / "store.db", writable=True))) as store:
        yield store.ledger


def test_a_version_that_could_not_be_kept_is_kept_at_the_next_look(
    tmp_path: Path, ledger: Ledger
) -> None:
    versions = users(tmp_path, [{"user_id": "ann", "plan": "pro"}])
    said: list[str] = []
    pins = PinnedProfiles("users", ["bus"], versions, said.append)
    folder = default_store(tmp_path) / "users"
    in_the_way = folder / "pinned.new"
    in_the_way.mkdir()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be kept for deliveries"):
            pins.look(ledger)
    assert len(said) == 1
    in_the_way.rmdir()
    pins.look(ledger)
    assert (folder / "pinned").read_text().split() == [versions.current()]
    assert pins.at(1).of("ann")["plan"] == "pro"


def test_what_is_pinned_already_is_not_written_again(tmp_path: Path, ledger: Ledger) -> None:
    versions = users(tmp_path, [{"user_id": "ann"}])
    PinnedProfiles("users", ["bus"], versions, print).look(ledger)
    # As good as a disk that is full.
    (default_store(tmp_path) / "users" / "pinned.new").mkdir()
    PinnedProfiles("users", ["bus"], versions, print).look(ledger)


def test_a_snapshot_that_cannot_be_read_is_waited_for(tmp_path: Path, ledger: Ledger) -> None:
    versions = users(tmp_path, [{"user_id": "ann", "plan": "pro"}])
    said: list[str] = []
    pins = PinnedProfiles("users", ["bus"], versions, said.append)
    pins.look(ledger)
    (manifest,) = (default_store(tmp_path) / "users" / versions.current()).glob("manifest*")
    content = manifest.read_bytes()
    manifest.unlink()
    manifest.mkdir()
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            pins.at(1)
    assert len(said) == 1
    manifest.rmdir()
    manifest.write_bytes(content)
    assert pins.at(1).of("ann")["plan"] == "pro"
