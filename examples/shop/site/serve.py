"""The shop's own server: its pages, and who is signed in on them.

    USHER_KEY=$(usher keys create --scope audiences:read) python site/serve.py

Pages must not have a key.  So this server has it, and asks Usher for a token of the one customer
that a browser is signed in as; with that, the page listens to what concerns this customer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import mimetypes
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import duckdb
from typing_extensions import override

HERE = Path(__file__).parent
# What npm brings lies in a hidden folder: definitions are looked for in all others.
SDK = HERE / ".sdk"
_CLIENT = "node_modules/@segment/analytics-next/dist/umd"
_FILES = {"/shop.js", "/catalogue.js", "/style.css", "/icon.svg"}
_COOKIE = "shop_session"

# Customers who may enter `high_intent_pricing`, and whom simulate.py does not play.
_CUSTOMERS = """
SELECT user_id, name FROM users
WHERE plan = 'free' AND NOT ends_with(lower(email), '@shop.example')
ORDER BY user_id DESC LIMIT 200
"""


class Sessions:
    """Each browser is signed in as a customer of its own, until there are no more."""

    def __init__(self, warehouse: Path, usher: str, key: str) -> None:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            found = connection.execute(_CUSTOMERS).fetchall()
        self.usher = usher
        self._key = key
        self._lock = threading.Lock()
        self._next = itertools.cycle(found)
        self._customers: dict[str, tuple[str, str]] = {}

    def sign_in(self, session: str) -> tuple[str, str, str]:
        """The session, a new one unless it is one of ours; its customer's id and name."""
        with self._lock:
            if session not in self._customers:
                session = secrets.token_urlsafe(24)
                self._customers[session] = next(self._next)
            return session, *self._customers[session]

    def token(self, user_id: str) -> str:
        """With which a page may ask Usher about this user, for an hour."""
        body = json.dumps({"parent_model": "users", "user_id": user_id}).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = Request(f"{self.usher}/v1/tokens", body, headers)  # noqa: S310  http, as we say
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(json.load(answer)["token"])


def pages(sessions: Sessions) -> type[BaseHTTPRequestHandler]:
    """What answers each request."""

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/session":
                self._sign_in()
            elif path in _FILES:
                self._send_file(HERE / path[1:])
            elif path.startswith("/analytics/"):
                self._send_file(SDK / Path(path).name)
            elif "." in path:
                self.send_error(HTTPStatus.NOT_FOUND)
            else:  # which page it is, the script in it knows
                self._send_file(HERE / "index.html")

        def _sign_in(self) -> None:
            told = _session_of(self.headers.get("Cookie", ""))
            session, user_id, name = sessions.sign_in(told)
            try:
                token = sessions.token(user_id)
            except OSError as error:
                self.send_error(HTTPStatus.BAD_GATEWAY, explain=f"{sessions.usher}: {error}")
                return
            facts = {"userId": user_id, "name": name, "token": token, "usher": sessions.usher}
            cookie = f"{_COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/"
            self._send(json.dumps(facts).encode(), "application/json", {"Set-Cookie": cookie})

        def _send_file(self, file: Path) -> None:
            try:
                content = file.read_bytes()
            except OSError:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            self._send(content, f"{kind}; charset=utf-8", {})

        def _send(self, content: bytes, kind: str, headers: dict[str, str]) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            allowed = f"default-src 'self'; connect-src 'self' {sessions.usher}"
            self.send_header("Content-Security-Policy", allowed)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads along."""

    return Pages


def _session_of(header: str) -> str:
    """What a browser tells, which may be anything."""
    try:
        found = SimpleCookie(header).get(_COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def install_client() -> None:
    """Bring Segment's client, as the lock file beside this one has it, unless it is there."""
    lock, installed = HERE / "package-lock.json", SDK / "package-lock.json"
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    if shutil.which("npm") is None:
        sys.exit("the page needs npm, which brings Segment's client (Debian: apt-get install npm)")
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    with tempfile.TemporaryDirectory() as folder:
        for file in ("package.json", lock.name):
            shutil.copy(HERE / file, folder)
        subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)  # noqa: S603
        shutil.copytree(Path(folder, _CLIENT), SDK, dirs_exist_ok=True)
    shutil.copy(lock, installed)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument(
        "--usher", default="http://127.0.0.1:8080", help="where usher run listens"
    )
    arguments.add_argument("--port", type=int, default=8090)
    arguments.add_argument("--warehouse", type=Path, default=HERE.parent / "data/warehouse.duckdb")
    options = arguments.parse_args()
    install_client()
    sessions = Sessions(options.warehouse, options.usher, os.environ["USHER_KEY"])
    with ThreadingHTTPServer(("127.0.0.1", options.port), pages(sessions)) as server:
        print(f"The shop is at http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
