"""Real servers for the warehouses' contract, each started once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warehouse.mariadb import is_installed, mariadb_server
from tests.warehouse.warehouses import (
    DuckDBPlace,
    FilesPlace,
    MySQLPlace,
    Place,
    PostgresPlace,
)

_numbers = itertools.count()


@pytest.fixture(scope="session")
def warehouse_mariadb() -> Iterator[int]:
    if not is_installed():
        pytest.skip("MariaDB is not installed (Debian: apt-get install mariadb-server)")
    with mariadb_server() as port:
        yield port


@pytest.fixture(
    scope="module",
    params=["duckdb", "parquet", "csv", "json", "postgres", "redshift", "mysql"],
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    root: Path = tmp_path_factory.mktemp("project")
    match request.param:
        case "duckdb":
            return DuckDBPlace(root)
        case "postgres" | "redshift":
            server = request.getfixturevalue("postgres")
            return PostgresPlace(root, server, f"shop_{next(_numbers)}", request.param)
        case "mysql":
            return MySQLPlace(root, request.getfixturevalue("warehouse_mariadb"), "shop")
    return FilesPlace(root, request.param)
