"""A store that is damaged, full, locked, missing, killed or unreachable: it says so."""

from __future__ import annotations

import socketserver
import sqlite3
import struct
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
from typing_extensions import override

from membership import schema, sqlite
from membership.errors import StoreDamaged, StoreMissing, StoreTooNew, StoreUnavailable
from membership.postgres import PostgresDatabase
from membership.sqlite import SqliteDatabase
from membership.store import MembershipStore
from tests.membership.places import Place, PostgresPlace, SqlitePlace
from tests.membership.servers import PostgresServer
from tests.membership.stories import NOW, journal, proposals

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> SqlitePlace:
    return SqlitePlace(tmp_path / "folder" / "store.db")


def recorded(place: SqlitePlace, users: int = 300) -> None:
    store = place.owner()
    store.record([proposals(" ".join(f"u{user}+1" for user in range(users)))], NOW)
    store.close()


def test_only_its_owner_can_read_the_file(file: SqlitePlace) -> None:
    recorded(file)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


# Another process, which looks and is gone.
_LOOK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
database.execute("SELECT count(*) FROM journal").fetchone()
database.close()
"""


def test_a_second_connection_takes_no_locks_from_the_first(file: SqlitePlace) -> None:
    """Else the other process takes it that nobody writes, and removes what is being written."""
    store = file.owner()
    store.record([proposals("u1+1")], NOW)
    with closing(SqliteDatabase(file.path, writable=True, verify=False)):
        subprocess.run([sys.executable, "-c", _LOOK, str(file.path)], check=True)
        assert file.path.with_name(f"{file.path.name}-wal").exists()
    store.record([proposals("u1-2")], NOW)
    store.close()
    assert journal(file.reader()) == "u1+1#1 u1-2#2"


def test_reading_before_anything_was_recorded(place: Place) -> None:
    with pytest.raises(StoreMissing, match="start usher run first"):
        place.reader()


@pytest.mark.parametrize("content", [b"", b"not a database, but somebody's notes" * 100])
def test_a_file_that_is_no_store(file: SqlitePlace, content: bytes) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    with pytest.raises(StoreDamaged if content else StoreMissing, match=r"damaged|nothing has"):
        file.reader()
    if content:
        with pytest.raises(StoreDamaged, match=r"is damaged .*; restore it from a backup"):
            file.store()


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_found_before_anything_is_written(file: SqlitePlace, seed: int) -> None:
    recorded(file)
    whole = file.path.read_bytes()
    draw = Random(seed)
    if seed % 2:
        damaged = whole[: draw.randrange(100, len(whole) - 4096)]
    else:  # a page, or several, of something else; the first one is the header
        page = draw.randrange(1, len(whole) // 4096) * 4096
        damaged = whole[:page] + draw.randbytes(4096) + whole[page + 4096 :]
    file.path.write_bytes(damaged)
    with pytest.raises(StoreDamaged, match=str(file.path)):
        file.store()


def test_a_full_disk(file: SqlitePlace) -> None:
    database = SqliteDatabase(file.path, writable=True)
    store = MembershipStore(database)
    store.claim([("users", 0)])
    store.record([proposals("ann+1")], NOW)
    ((pages,),) = database.query("PRAGMA page_count")
    database.query(f"PRAGMA max_page_count = {pages + 2}")
    many = [proposals("ann-2@2 " + " ".join(f"u{user}+3" for user in range(1_000)))]
    with pytest.raises(StoreUnavailable, match="the disk is full; nothing of the last batch"):
        store.record(many, NOW)
    assert journal(file.reader()) == "ann+1#1"
    database.query("PRAGMA max_page_count = 1000000")  # somebody has made room
    assert len(store.record(many, NOW)) == 1_001
    store.close()


def test_a_locked_file(file: SqlitePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.05)
    store = file.owner()
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process has kept the store locked"):
            store.record([proposals("ann+1")], NOW)
    store.record([proposals("ann+1")], NOW)
    assert journal(file.reader()) == "ann+1#1"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="name another path under store"):
        SqliteDatabase(tmp_path / "file" / "store.db", writable=True)
    with pytest.raises(StoreUnavailable, match="the store cannot be written"):
        SqliteDatabase(tmp_path, writable=True)


def test_a_store_of_a_later_release(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(
            schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE more (x INTEGER)",))
        )
        place.store()
    for opened in (place.store, place.reader):
        known = len(schema.MIGRATIONS)
        with pytest.raises(StoreTooNew, match=f"version {known + 1}, this release knows {known}"):
            opened()


def test_a_store_of_an_earlier_release_is_brought_up(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.owner().record([proposals("ann+1")], NOW)
    reader = place.reader()
    addition = "ALTER TABLE cursors ADD COLUMN note {text}"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, (addition,)))
    with pytest.raises(StoreMissing, match="by an earlier release"):
        place.reader()
    place.owner().record([proposals("ann+1 ann-2")], NOW)
    assert journal(reader) == "ann+1#1 ann-2#2"


def test_what_was_shown_outlives_its_process(place: Place) -> None:
    where = (
        ("sqlite", str(place.path))
        if isinstance(place, SqlitePlace)
        else ("postgres", place.url, place.schema)  # type: ignore[attr-defined]
    )
    shown: list[str] = []
    for lines in (40, 30, 20):
        command = [sys.executable, "-m", "tests.membership.recorder", *where]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            shown += [process.stdout.readline().strip() for _ in range(lines)]
            process.kill()
            shown += [line.strip() for line in process.stdout if line.endswith("\n")]
        reader = place.reader()
        kept = [f"{one.position} {one.record.id}" for one in reader.transitions().entries]
        assert set(shown) <= set(kept)
        assert [int(line.split()[0]) for line in kept] == list(range(1, len(kept) + 1))


def test_a_server_that_drops_the_connection(
    postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    place = PostgresPlace(postgres.url, "dropped")
    request.addfinalizer(place.close)
    store, reader = place.owner(), place.reader()
    store.record([proposals("ann+1")], NOW)
    with psycopg.connect(place.url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'usher'"
        )
    with pytest.raises(StoreUnavailable, match=f"store in PostgreSQL, schema {place.schema}"):
        store.record([proposals("ann-2@2")], NOW)
    store.record([proposals("ann-2@2")], NOW)
    with pytest.raises(StoreUnavailable):
        reader.end()
    assert journal(reader) == "ann+1#1 ann-2#2"


def test_a_server_without_our_tables(
    postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    """As one that is being restored: it is not a fault of ours."""
    place = PostgresPlace(postgres.url, "emptied")
    request.addfinalizer(place.close)
    store, reader = place.owner(), place.reader()
    with psycopg.connect(place.url, autocommit=True) as other:
        other.execute("ALTER SCHEMA emptied RENAME TO away")
        with pytest.raises(StoreUnavailable, match=r'"journal_end" does not exist; check the'):
            reader.end()
        other.execute("ALTER SCHEMA away RENAME TO emptied")
    store.record([proposals("ann+1")], NOW)
    assert journal(reader) == "ann+1#1"


def test_nobody_is_kept_waiting_for_ever(postgres: PostgresServer) -> None:
    """By a server that has gone without a word; or who reads, by a question that it never ends."""

    def told(more: str, *, writable: bool = False) -> list[str]:
        database = PostgresDatabase(f"{postgres.url}{more}", "bounded", writable=writable)
        with closing(database):
            given = database._connection.info.get_parameters()
            ((bound,),) = database.query("SHOW statement_timeout")
        names = ("application_name", "connect_timeout", "tcp_user_timeout", "keepalives_idle")
        return [*(given[name] for name in names), bound]

    assert told("") == ["usher", "10", "10000", "5", "1min"]
    assert told("", writable=True) == ["usher", "10", "10000", "5", "0"]
    own = "&application_name=mine&connect_timeout=3&tcp_user_timeout=7&keepalives_idle=8"
    assert told(f"{own}&options=-c%20statement_timeout%3D0") == ["mine", "3", "7", "8", "0"]


class _Pooler(socketserver.BaseRequestHandler):
    """It lets clients in while the server behind it is away, and then does not know what to say."""

    @override
    def handle(self) -> None:
        def said(kind: bytes, content: bytes) -> bytes:
            return kind + struct.pack("!I", len(content) + 4) + content

        self.request.recv(1 << 16)
        version = said(b"S", b"server_version\0" + b"15.0\0")
        self.request.sendall(said(b"R", bytes(4)) + version + said(b"Z", b"I"))
        self.request.recv(1 << 16)
        self.request.sendall(said(b"E", b"SFATAL\0C08P01\0Mquery_wait_timeout\0\0"))


@pytest.mark.parametrize("writable", [False, True])
def test_a_server_that_goes_while_it_is_connected_to(*, writable: bool) -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), _Pooler) as pooler:
        thread = threading.Thread(target=pooler.handle_request)
        thread.start()
        host, port = pooler.server_address[:2]
        url = f"postgresql://usher@{host!s}:{port}/usher?sslmode=disable&gssencmode=disable"
        with pytest.raises(StoreUnavailable, match="query_wait_timeout"):
            PostgresDatabase(url, "usher", writable=writable)
        thread.join()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://usher:geheim@127.0.0.1:1/usher",
        "postgresql://usher:geheim@127.0.0.1:port/usher",
        "postgresql://usher:geheim@[/usher",
    ],
)
def test_a_server_that_cannot_be_reached(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="url under store") as raised:
        PostgresDatabase(url, "usher", writable=True)
    assert "geheim" not in str(raised.value)
    assert "\n" not in str(raised.value)
