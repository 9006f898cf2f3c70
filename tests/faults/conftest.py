"""A PostgreSQL server for each test that breaks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.membership.servers import PostgresServer, running_server, server_programs


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with running_server(programs) as one:
        yield one
