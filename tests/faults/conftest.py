"""A PostgreSQL server for each test that breaks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.membership.servers import PostgresServer, running_server


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_server() as one:
        yield one
