"""A MariaDB server of our own, in a temporary folder, on a port of this machine alone."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

USER, PASSWORD = "reader", "geh'eim \"$%/ü"


def is_installed() -> bool:
    return shutil.which("mariadbd") is not None and shutil.which("mariadb-install-db") is not None


@contextmanager
def mariadb_server() -> Iterator[int]:
    """The port of a running server with a database `shop`, which USER may read and write."""
    folder = Path(tempfile.mkdtemp(prefix="usher-maria-"))
    user = "mysql" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = [f"--datadir={folder}/data", f"--user={user}"]
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", *data, "--auth-root-authentication-method=normal"],
        check=True, capture_output=True,
    )  # fmt: skip
    log = (folder / "log.txt").open("w")
    server = subprocess.Popen(
        ["mariadbd", "--no-defaults", *data, f"--socket={folder}/socket", f"--port={port}",
         "--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        _prepare(str(folder / "socket"), server)
        yield port
    finally:
        server.kill()
        server.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(path: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not Path(path).exists():  # it appears once the server listens
        assert server.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)
    connection = pymysql.connect(unix_socket=path, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        cursor.execute(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY %s", [PASSWORD])
        cursor.execute(f"GRANT ALL ON shop.* TO {USER}@'127.0.0.1'")
