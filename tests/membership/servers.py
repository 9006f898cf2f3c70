"""A PostgreSQL server of our own, in a temporary folder, reached by a socket in it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

# Debian keeps the server's programs out of the path.
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def server_programs() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, if PostgreSQL is installed."""
    found = shutil.which("initdb")
    places = [*_PLACES, *([Path(found).resolve().parent] if found else [])]
    return next((place for place in places if (place / "initdb").exists()), None)


@contextmanager
def postgres_server(programs: Path) -> Iterator[str]:
    """The URL of a running, empty database."""
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="usher-pg-"))
    data = folder / "data"
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *arguments: str) -> None:
        # Output to a file: the server outlives `pg_ctl`, and would hold a pipe open.
        with (folder / "out.txt").open("w+") as out:
            done = subprocess.run(
                [programs / program, "-D", data, *arguments],
                stdout=out, stderr=out, user=user, cwd=folder, check=False,
            )  # fmt: skip
            out.seek(0)
            assert done.returncode == 0, out.read()

    try:
        run("initdb", "-U", "usher", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        # Quick to stop and start; what is committed survives the server's own crash all the same.
        options = f"-c listen_addresses='' -c fsync=off -k {folder}"
        run("pg_ctl", "start", "-w", "-o", options, "-l", str(folder / "log.txt"))
        try:
            yield f"postgresql://usher@/postgres?host={quote(str(folder), safe='')}"
        finally:
            run("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> str | None:
    """The server refuses to run as root; whoever else we are is good enough."""
    if os.getuid() != 0:
        return None
    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
