"""Real servers for the contract of destinations, each started once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from tests.destinations import stands
from tests.destinations.redis_server import is_installed, redis_server
from tests.destinations.stands import Stand
from tests.kafka.broker import ELSEWHERE, MISSING, Broker, Elsewhere, a_broker, can_run
from tests.membership.servers import postgres_server, server_programs


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | Elsewhere]:
    if not can_run():
        pytest.skip(MISSING)
    if ELSEWHERE:
        yield Elsewhere()
        return
    with a_broker(tmp_path_factory.mktemp("broker")) as one:
        yield one


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    programs = server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    with postgres_server(programs) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE ROLE guarded LOGIN PASSWORD 'another one'")
            rules = Path(str(connection.execute("SHOW hba_file").fetchone()[0]))  # type: ignore[index]
            rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
            connection.execute("SELECT pg_reload_conf()")
        yield unquote(url)


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
            return stands.KafkaStand(root, request.getfixturevalue("kafka_broker"))
        case "postgres" | "postgres-delete":
            exits = "delete" if name.endswith("delete") else "mark"
            return stands.PostgresStand(root, request.getfixturevalue("postgres_url"), exits)
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
