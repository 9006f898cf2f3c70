"""A Redis server of our own, in a temporary folder, behind a password."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.cli.jobs import eventually

PASSWORD = "öpen \"s'sam%e\\"


def is_installed() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis_server(**more: str) -> Iterator[str]:
    """The path of a running server's socket; `more` are its options, `tls_port` for `tls-port`."""
    folder = Path(tempfile.mkdtemp(prefix="usher-redis-"))
    path = str(folder / "socket")
    options = {"port": "0", "unixsocket": path, "dir": str(folder), "save": ""}
    options |= {"requirepass": PASSWORD, "daemonize": "no"}
    options |= {name.replace("_", "-"): value for name, value in more.items()}
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(["redis-server", *arguments], stdout=log, stderr=log)
        try:
            eventually(lambda: server.poll() is not None or _answers(path))
            assert server.poll() is None, (folder / "log.txt").read_text()
            yield path
        finally:
            server.kill()
            server.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _answers(path: str) -> bool:
    try:
        with redis.Redis(unix_socket_path=path, password=PASSWORD) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
