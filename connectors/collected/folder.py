"""The folder of a log: what it is, and who may write to it."""

from __future__ import annotations

import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from connectors.collected.errors import LogDamaged, LogInUse
from connectors.collected.segments import find_segments
from connectors.durability import make_durable

PARTITIONS = 8

# Seconds for which a writer may be kept waiting by whoever only looks whether there is one.
_PATIENCE = 5.0
_PAUSE = 0.01
_VERSION = 1
_MANIFEST = "log.json"
_LOCK = "lock"


class Manifest(msgspec.Struct, frozen=True):
    """What a log is from its beginning to its end; `id` tells it from any other."""

    version: int
    id: str
    partitions: int

    @property
    def id_bytes(self) -> bytes:
        return bytes.fromhex(self.id)


def log_folder(root: Path, source: str) -> Path:
    """Where a project has the log of a source."""
    return root / ".usher" / "collected" / source


@contextmanager
def writer_lock(folder: Path, patience: float = _PATIENCE) -> Iterator[None]:
    """Be the only one who writes to a log; the folder is made.

    Somebody else who does is waited for so many seconds.

    Raises:
        LogInUse: another process is.
        OSError: the folder cannot be made.
    """
    for one in (folder.parent.parent, folder.parent, folder):
        one.mkdir(mode=0o700, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        deadline = time.monotonic() + patience
        while not _taken(lock.fileno()):
            if time.monotonic() > deadline:
                raise LogInUse(f"another process collects into {folder}; end it first")
            time.sleep(_PAUSE)
        yield


def has_writer(folder: Path) -> bool:
    """Whether a process writes to the log at this moment."""
    try:
        with (folder / _LOCK).open("r") as lock:
            return not _taken(lock.fileno())
    except FileNotFoundError:
        return False


def read_manifest(folder: Path) -> Manifest | None:
    """What a log is; `None` where there is none.

    Raises:
        LogDamaged: it cannot be read.
    """
    try:
        content = (folder / _MANIFEST).read_bytes()
        manifest = msgspec.json.decode(content, type=Manifest)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LogDamaged(f"{folder / _MANIFEST} is damaged ({error})") from error
    if manifest.version != _VERSION:
        raise LogDamaged(f"{folder} holds a log of version {manifest.version}, not {_VERSION}")
    return manifest


def make_manifest(folder: Path) -> Manifest:
    """Begin a log; only its writer does.

    Raises:
        LogDamaged: there are segments already.
    """
    if found := find_segments(folder):
        raise LogDamaged(f"{folder / _MANIFEST} is missing, but there is {found[0].path.name}")
    manifest = Manifest(_VERSION, secrets.token_hex(16), PARTITIONS)
    aside = folder / f"{_MANIFEST}.part"
    aside.write_bytes(msgspec.json.encode(manifest))
    make_durable(aside)
    aside.replace(folder / _MANIFEST)
    for one in (folder, *folder.parents[:3]):  # up to the project's own folder
        make_durable(one)
    return manifest


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
