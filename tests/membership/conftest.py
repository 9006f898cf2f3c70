"""The stores that the contract is tested against: SQLite always, PostgreSQL where it is present."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.membership.places import Place, PostgresPlace, SqlitePlace
from tests.membership.servers import postgres_server, server_programs

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgres_server(programs) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place: Place
    if request.param == "sqlite":
        place = SqlitePlace(tmp_path / "store.db")
    else:
        url = request.getfixturevalue("postgres_url")
        place = PostgresPlace(url, f"store_{next(_numbers)}")
    yield place
    place.close()
