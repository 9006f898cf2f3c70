"""Requests to a server, as a client would send them, and a server to send them to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from cli.refreshing import Refreshing
from connectors.wall_clock import wall_clock
from dataflows.progress import Progress
from membership.keys import ApiKey
from membership.reader import MembershipReader
from project.columns import Remembered
from project.folder import LoadedProject, load_project
from project.stores import open_store
from serving.addresses import open_doors
from serving.application import admin_application, public_application
from serving.certificates import Renewing
from serving.collecting.collector import Collector
from serving.server import serving
from serving.service import Service
from serving.shares import Shares
from serving.stores import Store
from serving.tokens import new_token
from tests.cli.projects import changed, write_project
from warehouse.history import Trigger
from warehouse.refresh import Request, refresh

# Free ports, whatever else runs on this machine.
ANYWHERE = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0"}
_SECONDS = 30


@dataclass(frozen=True)
class Server:
    """A running one: its addresses, and what it answers from."""

    loaded: LoadedProject
    url: str
    admin: str
    service: Service
    progress: Progress | None
    collector: Collector

    def ask(self, path: str, key: str = "", method: str = "GET", **more: Any) -> requests.Response:
        return ask(f"{self.url}{path}", key, method, **more)

    def metrics(self) -> dict[str, float]:
        return metrics(f"{self.admin}/metrics")


def ask(url: str, key: str = "", method: str = "GET", **more: Any) -> requests.Response:
    headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
    return requests.request(method, url, headers=headers, timeout=_SECONDS, **more)


def metrics(url: str) -> dict[str, float]:
    """Each sample as its line has it, with its value."""
    lines = ask(url).text.splitlines()
    samples = [one.rpartition(" ") for one in lines if not one.startswith("#")]
    return {name: float(value) for name, _, value in samples}


def project(root: Path, **sections: Any) -> LoadedProject:
    write_project(root, changed(serving=ANYWHERE, **sections))
    return loaded_from(root)


def loaded_from(root: Path) -> LoadedProject:
    loaded = load_project(root, remembered=Remembered.WHERE_NEEDED).loaded
    assert loaded is not None
    return loaded


def pulled(loaded: LoadedProject, at: int) -> None:
    plan = loaded.project.plans["users"]
    refresh(loaded.root, None, plan, at, Request(Trigger.SCHEDULED))


def new_key(
    loaded: LoadedProject,
    *scopes: str,
    expires_at: int | None = None,
    audiences: tuple[str, ...] | None = None,
) -> str:
    """What `usher keys create` does, without the process."""
    token = new_token()
    key = ApiKey(
        id=token.id,
        digest=token.digest,
        name="",
        scopes=scopes,
        audiences=audiences,
        created_at=wall_clock(),
        expires_at=expires_at,
    )
    with closing(open_store(loaded)) as store:
        store.keys.add(key)
    return token.text


@contextmanager
def server(
    loaded: LoadedProject, progress: Progress | None = None, room: Shares | None = None
) -> Iterator[Server]:
    """On ports of its own; pulls that it is asked for begin when somebody lets them work."""
    doors = open_doors(loaded, must_listen=True)
    pulls = Refreshing(loaded, on_schedule=False)
    shown = None if doors.certificate is None else Renewing(doors.certificate)
    with (
        closing(Service(loaded, pulls, progress)) as service,
        closing(Collector(loaded, service.keyring, room)) as collector,
        serving(
            doors,
            public_application(service, collector),
            admin_application(service, collector, shown),
            shown,
            service.end,
        ),
    ):
        yield Server(loaded, doors.public_url, doors.admin_url, service, progress, collector)


@contextmanager
def held_up(store: Store) -> Iterator[None]:
    """As long as this lasts, somebody asks the store for very much."""
    is_asked, is_enough = threading.Event(), threading.Event()

    def ask_much(_reader: MembershipReader) -> None:
        is_asked.set()
        is_enough.wait(_SECONDS)

    asker = threading.Thread(target=store.read, args=[ask_much])
    asker.start()
    try:
        assert is_asked.wait(_SECONDS)
        yield
    finally:
        is_enough.set()
        asker.join()
