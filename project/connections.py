"""Whether the systems that a project names can be reached from here.

Nothing is sent: files are looked for, servers are asked for a connection that is closed at once,
and destinations are tried in the way that each of them knows.
"""

from __future__ import annotations

import asyncio
import glob
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from audience_dsl.definitions import Settings
from connectors.destinations.errors import DestinationError
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from project.folder import LoadedProject
from project.stores import store_problem
from warehouse.columns import read_columns
from warehouse.errors import WarehouseError

_TIMEOUT = 5.0
_PATIENCE = 30.0  # for a destination, whose own time-outs come first


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
    problems = asyncio.run(_problems(root, project.destinations.values()))
    for key, problem in zip(project.destinations, problems, strict=True):
        yield Connection(f"destination {key}", problem)
    if project.store is not None:
        yield Connection("store", store_problem(loaded))


def _source_problem(root: Path, source: Settings) -> str:
    if source.type == "file":
        pattern = str(root / str(source.options["path"]))
        if any(glob.iglob(pattern, recursive=True)):  # noqa: PTH207  a Path takes no absolute one
            return ""
        return f"no file matches {source.options['path']}"
    return _servers_problem(source) if source.type == "kafka" else ""


async def _problems(root: Path, destinations: Iterable[Settings]) -> list[str]:
    """Of all destinations at once: whoever does not answer is waited for together."""
    place = Place(root, lambda _: None)
    return await asyncio.gather(*(_destination_problem(one, place) for one in destinations))


async def _destination_problem(settings: Settings, place: Place) -> str:
    try:
        destination = open_destination(settings, place)
    except DestinationError as error:
        return _reason(error, settings)
    try:
        await asyncio.wait_for(destination.test(), _PATIENCE)
    except DestinationError as error:
        return _reason(error, settings)
    except TimeoutError:
        return f"it does not answer within {_PATIENCE:.0f} seconds"
    finally:
        await destination.close()
    return ""


def _reason(error: DestinationError, settings: Settings) -> str:
    return str(error).removeprefix(f"destination '{settings.key}': ")


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
