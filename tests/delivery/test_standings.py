"""How syncs stand, on a store that nobody delivers from at the moment."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from audience_dsl.definitions import Sync
from delivery.standings import Lag, Standing, standings
from membership.deliveries import (
    Ask,
    Changes,
    Population,
    SyncState,
    SyncStatus,
    Waiting,
)
from membership.reader import MembershipReader
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from tests.membership.stories import NOW, proposals

LATER = NOW + 90_000_000
BUS, MAIL, NEW = (Sync(key, "keen", "there") for key in ("bus", "mail", "new"))


def test_how_syncs_stand(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    population = Population(0, "v1", NOW, "ann")
    with closing(MembershipStore(SqliteDatabase(path, writable=True))) as store:
        store.claim([("users", 0)])
        store.ledger.claim()
        store.ledger.open("bus", lambda _: population)
        store.ledger.open("mail", lambda _: None)
        store.record([proposals("ann+1 ann-2")], NOW)
        store.record([proposals("ann+3")], NOW + 60_000_000)
        parked = [
            Waiting("ann", 1, 1, "{}", "", 2, NOW + 5, NOW + 9, "answered 500"),
            Waiting("ann", 2, 2, "{}", ""),
        ]
        refused = SyncState(SyncStatus.PAUSED, NOW + 7, "answered 401", NOW + 7, sent=4)
        store.ledger.write(
            [Changes("bus", 2, waiting=parked, state=refused), Changes("mail", 3)],
        )
        store.ledger.ask("bus", Ask.RESUME, NOW)
    with closing(MembershipReader(SqliteDatabase(path, writable=False))) as reader:
        bus, mail, new = standings([BUS, MAIL, NEW], reader, LATER)
    lag = Lag(1, 30_000_000)
    assert bus == Standing(BUS, refused, lag, 2, NOW + 5, 0, population, (Ask.RESUME,))
    assert (bus.status, bus.why) == ("paused", "answered 401")
    assert mail == Standing(MAIL, SyncState(), Lag(0, 0), 0, None, 0, None, ())
    assert (mail.status, mail.why) == ("running", "")
    assert new == Standing(NEW, None, None, 0, None, 0, None, ())
    assert new.status == "new"
