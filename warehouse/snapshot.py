"""A published snapshot: what the warehouse said of all users at one instant.

Its arrays are mapped into memory, not read: a process pays for the pages that it touches, and
processes share them.  The attributes stay in Parquet, for mappings and for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from audience_dsl.definitions import ColumnType, WarehousePredicate
from engine.hashing import stable_hashes
from engine.inputs import Snapshot
from engine.plan import Int64s
from engine.texts import Texts
from warehouse.errors import WarehouseError
from warehouse.versions import Versions, default_store

# Raise it when the files change their meaning; older snapshots are then pulled anew.
FORMAT = 1

ATTRIBUTES = "attributes.parquet"
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a snapshot, written last: a folder without it is no snapshot."""

    format: int
    parent_model: str
    version: str
    taken_at: int  # microseconds since 1970 UTC
    rows: int
    predicates: str  # digest of the predicates that the bits answer, see `predicates_digest`
    columns: dict[str, ColumnType]  # of the attributes
    unreadable: dict[str, int]  # values that are missing because they do not read as declared
    collections: dict[str, str] = {}  # digests of what can be looked up, by key


@dataclass(frozen=True, slots=True)
class WarehouseSnapshot:
    """A snapshot on disk.  `snapshot` is the stream's view, ascending by the users' hashes.

    `attribute_rows[i]` is the row of `snapshot`'s user `i` in the attributes' file.
    """

    folder: Path
    manifest: Manifest
    snapshot: Snapshot
    attribute_rows: Int64s

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def taken_at(self) -> int:
        """The instant that `within_last` and `within_next` are relative to."""
        return self.manifest.taken_at

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def attributes_path(self) -> Path:
        return self.folder / ATTRIBUTES

    def answers(self, predicates: Sequence[WarehousePredicate]) -> bool:
        """Whether its bits are those of these predicates, in this order."""
        return self.manifest.predicates == predicates_digest(predicates)

    def has_collections(self, digests: Mapping[str, str]) -> bool:
        """Whether these collections can be looked up in it."""
        return all(self.manifest.collections.get(key) == one for key, one in digests.items())

    def lookup(self, user_ids: Sequence[str]) -> Int64s:
        """The row of each user in `snapshot`, -1 for users that the warehouse does not know."""
        wanted = Texts.of(user_ids)
        hashes = stable_hashes(wanted)
        rows = np.searchsorted(self.snapshot.hashes, hashes).astype(np.int64)
        for i, hash_ in enumerate(hashes):
            rows[i] = self._row_of(wanted.text(i), int(hash_), int(rows[i]))
        return rows

    def _row_of(self, user_id: str, hash_: int, row: int) -> int:
        hashes = self.snapshot.hashes
        while row < hashes.size and hashes[row] == hash_:
            if self.snapshot.users.text(row) == user_id:
                return row
            row += 1
        return -1


def current(
    root: Path, parent_model: str, *, store: Path | None = None
) -> WarehouseSnapshot | None:
    """The snapshot in force, or `None` if nothing has been pulled yet.

    Raises:
        WarehouseError: it is damaged, or of another release.
    """
    folder = Versions(store or default_store(root), parent_model).current()
    return None if folder is None else open_snapshot(folder)


def open_snapshot(folder: Path) -> WarehouseSnapshot:
    """Map a version's files into memory.

    Raises:
        WarehouseError: they are damaged, or of another release.
    """
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
        snapshot = Snapshot(
            users=Texts(_mapped(folder, "user_data"), _mapped(folder, "user_starts")),
            hashes=_mapped(folder, "hashes"),
            pattern_of=_mapped(folder, "pattern_of"),
            patterns=_mapped(folder, "patterns"),
        )
        rows = _mapped(folder, "attribute_rows")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise WarehouseError(f"snapshot {folder} is damaged ({error}); pull it anew") from error
    if manifest.format != FORMAT:
        raise WarehouseError(f"snapshot {folder} is of another release; pull it anew")
    lengths = {len(snapshot.users.starts) - 1, len(snapshot.hashes), len(snapshot.pattern_of)}
    if lengths | {len(rows)} != {manifest.rows}:
        raise WarehouseError(f"snapshot {folder} is damaged (files of unlike length); pull it anew")
    return WarehouseSnapshot(folder, manifest, snapshot, rows)


def write_arrays(folder: Path, snapshot: Snapshot, attribute_rows: Int64s) -> None:
    """The counterpart of `open_snapshot`: one file an array."""
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "user_data": snapshot.users.data,
        "user_starts": snapshot.users.starts,
        "hashes": snapshot.hashes,
        "pattern_of": snapshot.pattern_of,
        "patterns": snapshot.patterns,
        "attribute_rows": attribute_rows,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def predicates_digest(predicates: Sequence[WarehousePredicate]) -> str:
    """Equal for equal predicates in equal order."""
    return hashlib.blake2b(repr(tuple(predicates)).encode(), digest_size=8).hexdigest()


def _mapped(folder: Path, name: str) -> Any:
    """A read-only array over the file's pages; an ordinary array, as kernels expect."""
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
