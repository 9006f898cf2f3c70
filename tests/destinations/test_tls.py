"""PostgreSQL and Redis behind TLS: whom destinations, warehouses and the store talk to, and not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from audience_dsl.definitions import ModelSource, Settings
from connectors.destinations.destination import Outcome, Verdict
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from connectors.warehouses.limits import Limits
from connectors.warehouses.postgres import Postgres as Warehouse
from membership.errors import StoreError
from membership.postgres import PostgresDatabase
from tests.destinations.certificates import Certificates
from tests.destinations.kinds import message, sent
from tests.destinations.redis_server import PASSWORD, redis_server
from tests.destinations.redis_server import is_installed as has_redis
from tests.membership.servers import running_server

# The options tls and ca, the host, and what is said where nothing is sent.  The certificate is for
# 127.0.0.1, by an authority whose certificate is "ours"; "theirs" is another one's.
POSTGRES = [
    ({"tls": "verify-full", "ca": "ours"}, "127.0.0.1", ""),
    ({"ca": "ours"}, "127.0.0.1", ""),
    ({"tls": "require"}, "localhost", ""),
    ({"tls": "verify-full", "ca": "ours"}, "localhost", "does not match host name"),
    ({"ca": "ours"}, "localhost", "does not match host name"),
    ({"tls": "verify-full", "ca": "theirs"}, "127.0.0.1", "certificate verify failed"),
    ({"tls": "verify-full"}, "127.0.0.1", "certificate verify failed"),
]
REDIS = [
    ({"tls": True, "ca": "ours"}, "127.0.0.1", ""),
    ({"tls": True, "ca": "ours"}, "localhost", "Hostname mismatch"),
    ({"tls": True, "ca": "theirs"}, "127.0.0.1", "certificate verify failed"),
    ({"tls": True}, "127.0.0.1", "certificate verify failed"),
]


class Server:
    """Where a server listens, and the authorities that a client may trust, by name."""

    def __init__(self, folder: Path) -> None:
        self.authorities = {}
        for name in ("theirs", "ours"):
            (folder / name).mkdir()
            certificates = Certificates(folder / name, name)
            self.authorities[name] = str(certificates.ca)
        self.certificate = certificates.file("127.0.0.1")
        self.ca = certificates.ca
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.inside = ""

    def settings(self, kind: str, told: dict[str, object], **more: object) -> Settings:
        options = {**told, **more, "port": self.port}
        if "ca" in options:
            options["ca"] = self.authorities[str(options["ca"])]
        return Settings("d", kind, options)

    def deliver(self, settings: Settings) -> Outcome:
        one = open_destination(settings, Place(Path("/"), lambda _: None))
        return asyncio.run(sent(one, message("ann"))).outcomes[0]


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("tls"))
    with running_server() as server:
        server.stop()
        file = server.put(found.certificate)
        tls = ("ssl=on", f"ssl_cert_file={file}", f"ssl_key_file={file}", f"port={found.port}")
        server.start(*tls, "listen_addresses=127.0.0.1")
        found.inside = f"{server.url}&port={found.port}"
        yield found


@pytest.fixture(scope="module")
def redis_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not has_redis():
        pytest.skip("no Redis server is installed")
    found = Server(tmp_path_factory.mktemp("tls"))
    file = str(found.certificate)
    with redis_server(
        tls_port=str(found.port), tls_cert_file=file, tls_key_file=file,
        tls_ca_cert_file=str(found.ca), tls_auth_clients="no",
    ) as path:  # fmt: skip
        found.inside = path
        yield found


@pytest.mark.parametrize(("told", "host", "refusal"), POSTGRES)
def test_the_destination_postgres_writes_to_whom_it_may_trust(
    postgres: Server, told: dict[str, object], host: str, refusal: str
) -> None:
    named = {"host": host, "database": "postgres", "user": "usher", "table": "members"}
    with psycopg.connect(postgres.inside) as inside:
        inside.execute("DROP TABLE IF EXISTS members")
    got = postgres.deliver(postgres.settings("postgres", told, **named))
    with psycopg.connect(postgres.inside) as inside:
        ((table,),) = inside.execute("SELECT to_regclass('members')").fetchall()
    if refusal:
        assert got.verdict is Verdict.RETRY
        assert refusal in got.reason
        assert table is None, "nothing was said to it"
    else:
        assert got.verdict is Verdict.ACCEPTED, got.reason
        assert table == "members"


@pytest.mark.parametrize(("told", "host", "refusal"), POSTGRES)
def test_the_warehouse_postgres_is_read_where_it_may_be_trusted(
    postgres: Server, told: dict[str, object], host: str, refusal: str
) -> None:
    settings = postgres.settings("postgres", told, host=host, database="postgres", user="usher")
    one = Warehouse(Path("/"), settings, Limits(timeout=10_000_000))
    query = ModelSource(query="SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    try:
        if refusal:
            with pytest.raises(psycopg.OperationalError, match=refusal):
                one.select(query, rows=True)
        else:
            batches = list(one.select(query, rows=True))
            assert batches[0].to_pylist() == [{"ssl": True}]
    finally:
        one.close()


@pytest.mark.parametrize(
    ("host", "authority", "refusal"),
    [
        ("127.0.0.1", "ours", ""),
        ("localhost", "ours", "does not match host name"),
        ("127.0.0.1", "theirs", "certificate verify failed"),
    ],
)
def test_the_store_is_kept_where_it_may_be_trusted(
    postgres: Server, host: str, authority: str, refusal: str
) -> None:
    ca = postgres.authorities[authority]
    url = f"postgresql://usher@{host}:{postgres.port}/postgres?sslmode=verify-full&sslrootcert={ca}"
    if refusal:
        with pytest.raises(StoreError, match=refusal):
            PostgresDatabase(url, "usher", writable=True).query("SELECT 1")
    else:
        database = PostgresDatabase(url, "usher", writable=True)
        assert database.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [
            (True,)
        ]
        database.close()


@pytest.mark.parametrize(("told", "host", "refusal"), REDIS)
def test_the_destination_redis_writes_to_whom_it_may_trust(
    redis_: Server, told: dict[str, object], host: str, refusal: str
) -> None:
    named = {"host": host, "password": PASSWORD}
    with redis.Redis(unix_socket_path=redis_.inside, password=PASSWORD) as inside:
        inside.flushall()
        got = redis_.deliver(redis_.settings("redis", told, **named))
        kept = inside.keys()
    if refusal:
        assert got.verdict is Verdict.RETRY
        assert refusal in got.reason
        assert kept == [], "nothing was said to it"
    else:
        assert got.verdict is Verdict.ACCEPTED, got.reason
        assert kept


def test_a_redis_that_speaks_tls_alone_is_not_spoken_to_without(redis_: Server) -> None:
    named = {"host": "127.0.0.1", "password": PASSWORD}
    assert redis_.deliver(redis_.settings("redis", {}, **named)).verdict is Verdict.RETRY
