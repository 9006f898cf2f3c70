"""A PostgreSQL server of our own, in a temporary folder, reached by a socket in it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

# Debian keeps the server's programs out of the path.
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class PostgresServer:
    """An empty database, in a folder that exists; `host` is where its socket is."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.host = str(folder)
        self.url = self._url("postgres")
        self._programs = programs
        self._folder = folder
        self._user = _unprivileged()
        if self._user is not None:
            shutil.chown(folder, self._user)
        self._run("initdb", "-U", "usher", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def start(self, *settings: str) -> None:
        """With more settings, such as `port=1`; it listens at its socket alone."""
        # Quick to stop and start; what is committed survives the server's own crash all the same.
        given = ("listen_addresses=''", "fsync=off", *settings)
        options = " ".join([*(f"-c {one}" for one in given), f"-k {self._folder}"])
        self._run("pg_ctl", "start", "-w", "-o", options, "-l", str(self._folder / "log.txt"))

    def put(self, file: Path) -> Path:
        """A copy of a file that the server, and nobody else, may read."""
        path = self._folder / file.name
        shutil.copy(file, path)
        path.chmod(0o600)
        if self._user is not None:
            shutil.chown(path, self._user)
        return path

    def stop(self) -> None:
        """As if it had crashed."""
        self._run("pg_ctl", "stop", "-m", "immediate")

    def create_database(self, name: str) -> str:
        """Make another database, and say its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return self._url(name)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections within, and does not say a word."""
        with (self._folder / "data" / "postmaster.pid").open() as file:
            number = int(file.readline())
        os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(number, signal.SIGCONT)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is gone within."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _url(self, database: str) -> str:
        return f"postgresql://usher@/{database}?host={quote(self.host, safe='')}"

    def _run(self, program: str, *arguments: str) -> None:
        # Output to a file: the server outlives `pg_ctl`, and would hold a pipe open.
        with (self._folder / "out.txt").open("w+") as out:
            done = subprocess.run(
                [self._programs / program, "-D", self._folder / "data", *arguments],
                stdout=out, stderr=out, user=self._user, cwd=self._folder, check=False,
            )  # fmt: skip
            out.seek(0)
            assert done.returncode == 0, out.read()


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that runs, unless it has been stopped; without PostgreSQL, the test is skipped."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="usher-pg-"))
    try:
        server = PostgresServer(programs, folder)
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, if PostgreSQL is installed."""
    found = shutil.which("initdb")
    places = [*_PLACES, *([Path(found).resolve().parent] if found else [])]
    return next((place for place in places if (place / "initdb").exists()), None)


def _unprivileged() -> str | None:
    """The server refuses to run as root; whoever else we are is good enough."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
