"""Several machines: where their processes are, and how their supervisors find each other.

They share the project's folder.  The first machine's supervisor leads: it prepares the job, and
leaves a *notice* of each start of it, from which the others know what their processes have to do.
Every supervisor shows that it is there by counting in a file of its own.  Whoever wants the job to
stop says so in the folder of that start, so that all stop together.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import msgspec

from dataflows.following import StoredShare
from dataflows.seals import BrokenSeal, sealed, unsealed
from project.folder import read_files

# Seconds between two counts, and without one after which a supervisor is not there.
_COUNTS_EVERY = 0.5
_GONE = 10.0

_PORTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Machines:
    """Where machine `number` is among the others; each has so many workers, on ports in a row.

    Raises:
        ValueError: what is wrong with the addresses.
    """

    addresses: tuple[tuple[str, int], ...]
    number: int
    workers: int

    @classmethod
    def parse(cls, listed: str, number: int, workers: int) -> Machines:
        """From `host:port,host:port`."""
        addresses = []
        for one in listed.split(","):
            host, _, port = one.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) <= _PORTS - workers:
                raise ValueError(f"'{one.strip()}' is not like host:2101 with room for the workers")
            addresses.append((host, int(port)))
        if number >= len(addresses):
            raise ValueError(f"there is no machine {number} among {len(addresses)}; the first is 0")
        taken = {(host, port + i) for host, port in addresses for i in range(workers)}
        if len(taken) < len(addresses) * workers:
            raise ValueError(
                "the machines' ports overlap: each worker needs one, from the named on"
            )
        return cls(tuple(addresses), number, workers)

    @property
    def leads(self) -> bool:
        return self.number == 0

    @property
    def of_workers(self) -> tuple[str, ...]:
        """The addresses of all workers, those of the first machine first."""
        return tuple(
            f"{host}:{port + i}" for host, port in self.addresses for i in range(self.workers)
        )

    @property
    def own(self) -> range:
        """The numbers of this machine's workers."""
        return range(self.number * self.workers, (self.number + 1) * self.workers)

    @property
    def exposed(self) -> list[str]:
        """The hosts that others than this machine may reach."""
        return [host for host, _ in self.addresses if not _is_loopback(host)]


class Notice(msgspec.Struct, frozen=True):
    """What the other machines have to know of a start of the job."""

    start: str  # names the folder in which the processes meet
    started: int
    workers: int
    machines: int
    definitions: str  # a digest
    snapshots: dict[str, str]  # the version of each parent model's
    stored: dict[str, StoredShare]
    clock: int


class Board:
    """The folder in which the machines leave word for each other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notice = folder / "notice"

    def put_up(self, notice: Notice) -> None:
        aside = self._notice.with_suffix(".part")
        aside.write_bytes(sealed(msgspec.msgpack.encode(notice)))
        aside.replace(self._notice)

    def take_down(self) -> None:
        self._notice.unlink(missing_ok=True)

    def notice(self) -> Notice | None:
        """The newest one, if there is one that can be read."""
        try:
            return msgspec.msgpack.decode(unsealed(self._notice.read_bytes()), type=Notice)
        except (FileNotFoundError, BrokenSeal, msgspec.MsgspecError):
            return None

    def meetings(self, start: str) -> Path:
        return self._folder / start


class Presence:
    """Shows that a machine is there, and sees which of the others are.

    It goes by what changes and not by the time of day, on which machines may differ.
    """

    def __init__(self, folder: Path, machines: Machines) -> None:
        self._folder = folder
        self._number = machines.number
        self._others = set(range(len(machines.addresses))) - {machines.number}
        self._seen: dict[int, tuple[str, float]] = {}
        self._now = 0.0  # seconds since the beginning, as counted here
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._count, name="usher-presence", daemon=True)
        self._thread.start()

    def missing(self) -> list[int]:
        """The machines that have not shown themselves of late."""
        return [
            number
            for number in sorted(self._others)
            if number not in self._seen or self._now - self._seen[number][1] > _GONE
        ]

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._file(self._number).unlink(missing_ok=True)

    def _count(self) -> None:
        first: dict[int, str] = {}
        while True:
            self._now += _COUNTS_EVERY
            aside = self._file(self._number).with_suffix(".part")
            aside.write_text(str(self._now))
            aside.replace(self._file(self._number))
            for number in self._others:
                try:
                    count = self._file(number).read_text()
                except FileNotFoundError:
                    continue
                # What was there from the beginning may be an earlier job's.
                before, _ = self._seen.get(number, (first.setdefault(number, count), 0.0))
                if count != before:
                    self._seen[number] = count, self._now
            if self._closing.wait(_COUNTS_EVERY):
                return

    def _file(self, number: int) -> Path:
        return self._folder / f"machine-{number}"


def definitions_digest(root: Path) -> str:
    """Of the texts of a project's definitions."""
    files: Mapping[str, str] = read_files(root)[0]
    return hashlib.blake2b(msgspec.json.encode(dict(files)), digest_size=16).hexdigest()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
