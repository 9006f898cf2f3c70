"""Where the contract of destinations is tested: real servers, each started once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from tests.destinations import stands
from tests.destinations.redis_server import is_installed, redis_server
from tests.destinations.stands import Stand
from tests.membership.servers import PostgresServer


@pytest.fixture(scope="session")
def guarded_postgres(postgres: PostgresServer) -> PostgresServer:
    """The server with one role, `guarded`, that has to say a password."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'another one'")
        rules = Path(str(connection.execute("SHOW hba_file").fetchone()[0]))  # type: ignore[index]
        rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    return postgres


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    if not is_installed():
        pytest.skip("Redis is not installed (Debian: apt-get install redis-server)")
    with redis_server() as path:
        yield path


@pytest.fixture(scope="session")
def aws_address() -> Iterator[tuple[str, int]]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()
    server.stop()


STANDS = (
    *("file", "parquet", "stdout", "kafka", "postgres", "postgres-delete"),
    *("redis", "redis-users", "sqs", "sns", "kinesis", "s3"),
)


@pytest.fixture
def new_stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Stand]]:
    made: list[Stand] = []

    def one(name: str) -> Stand:
        made.append(_stand(name, request, tmp_path))
        return made[-1]

    yield one
    for stand in made:
        stand.close()
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(params=STANDS)
def stand(request: pytest.FixtureRequest, new_stand: Callable[[str], Stand]) -> Stand:
    return new_stand(request.param)


def _stand(name: str, request: pytest.FixtureRequest, root: Path) -> Stand:
    match name:
        case "file":
            return stands.FileStand(root)
        case "parquet":
            return stands.ParquetStand(root)
        case "stdout":
            return stands.StdoutStand(root)
        case "kafka":
            return stands.KafkaStand(root, request.getfixturevalue("broker"))
        case "postgres" | "postgres-delete":
            exits = "delete" if name.endswith("delete") else "mark"
            return stands.PostgresStand(root, request.getfixturevalue("guarded_postgres"), exits)
        case "redis" | "redis-users":
            sets = "user" if name.endswith("users") else "audience"
            return stands.RedisStand(root, request.getfixturevalue("redis_socket"), sets)
    kinds: dict[str, Callable[[Path, tuple[str, int]], Stand]] = {
        "sqs": stands.SqsStand,
        "sns": stands.SnsStand,
        "kinesis": stands.KinesisStand,
        "s3": stands.S3Stand,
    }
    return kinds[name](root, request.getfixturevalue("aws_address"))
