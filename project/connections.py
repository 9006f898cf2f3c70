"""Whether the systems that a project names can be reached from here.

Nothing is sent: files are looked for, folders are checked for being writable, and servers are
asked for a connection that is closed at once.
"""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from audience_dsl.definitions import Settings
from project.folder import LoadedProject
from project.stores import store_problem
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Connection:
    """`problem` is empty if the system can be reached."""

    system: str
    problem: str = ""


def check_connections(loaded: LoadedProject) -> Iterator[Connection]:
    """Try all parent models, sources, destinations and the store, one after the other."""
    root, project = loaded.root, loaded.project
    for kind, models in (
        ("parent model", project.parent_models),
        ("related model", project.related_models),
    ):
        for key, model in models.items():
            try:
                read_columns(root, project.warehouse, model)
            except WarehouseError as error:
                yield Connection(f"{kind} {key}", str(error))
            else:
                yield Connection(f"{kind} {key}")
    for source in project.sources.values():
        yield Connection(f"source {source.key}", _source_problem(root, source))
    for destination in project.destinations.values():
        yield Connection(f"destination {destination.key}", _destination_problem(root, destination))
    if project.store is not None:
        yield Connection("store", store_problem(loaded))


def _source_problem(root: Path, source: Settings) -> str:
    if source.type == "file":
        pattern = str(root / str(source.options["path"]))
        if any(glob.iglob(pattern, recursive=True)):  # noqa: PTH207  a Path takes no absolute one
            return ""
        return f"no file matches {source.options['path']}"
    return _servers_problem(source) if source.type == "kafka" else ""


def _destination_problem(root: Path, destination: Settings) -> str:
    match destination.type:
        case "file":
            folder = (root / str(destination.options["path"])).parent
            while not folder.exists():
                folder = folder.parent
            return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written to"
        case "kafka":
            return _servers_problem(destination)
        case _:
            url = urlsplit(str(destination.options["url"]))
            try:
                port = url.port or (443 if url.scheme == "https" else 80)
            except ValueError:
                return "the port of its url is not a number below 65536"
            return _connect(url.hostname or "", port)


def _servers_problem(settings: Settings) -> str:
    problems = []
    for server in str(settings.options["bootstrap_servers"]).split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal():
            problems.append(f"{server.strip() or 'an empty server'} is not host:port")
        else:
            problems.append(_connect(host.strip("[]"), int(port)))
    # One server that answers leads to all others.
    return "" if "" in problems else "; ".join(problems)


def _connect(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT):
            return ""
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{host}:{port} cannot be reached: {reason}"
