"""The stores that the contract is tested against: SQLite always, PostgreSQL where it is present."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.membership.places import Place, PostgresPlace, SqlitePlace

_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place: Place
    if request.param == "sqlite":
        place = SqlitePlace(tmp_path / "store.db")
    else:
        server = request.getfixturevalue("postgres")
        place = PostgresPlace(server.url, f"store_{next(_numbers)}")
    yield place
    place.close()
