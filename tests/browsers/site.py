"""A site with pages that have vendors' clients, on an address that is not the collector's."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parent / "sdks"
_PAGE = '<!doctype html><title>{name}</title><link rel="icon" href="data:,">{script}'


def bundled(names: tuple[str, ...], root: Path) -> None:
    """Write a page for each client, and one without any, `away.html`."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    lock, installed = _FOLDER / "package-lock.json", _FOLDER / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=_FOLDER, check=True, timeout=300)
    files = [f"{one}.js" for one in names]
    options = ["--bundle", "--log-level=error", f"--outdir={root}"]
    subprocess.run(["node_modules/.bin/esbuild", *files, *options], cwd=_FOLDER, check=True)
    for one in names:
        script = f'<script src="{one}.js"></script>'
        (root / f"{one}.html").write_text(_PAGE.format(name=one, script=script))
    (root / "away.html").write_text(_PAGE.format(name="away", script=""))


@contextmanager
def site(root: Path) -> Iterator[str]:
    """Serve what is in a folder; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads along."""
