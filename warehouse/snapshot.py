"""A published snapshot: what the warehouse said of all users at one instant.

Its arrays are mapped into memory, not read: a process pays for the pages that it touches, and
processes share them.  The attributes stay in Parquet, for mappings and for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from audience_dsl.definitions import (
    Collection,
    ColumnType,
    ParentModel,
    ParentPlan,
    RelatedModel,
    WarehousePredicate,
)
from engine.hashing import stable_hashes
from engine.inputs import Snapshot
from engine.plan import Int64s
from engine.texts import Texts
from warehouse.arrays import mapped
from warehouse.errors import WarehouseError
from warehouse.patterns import rearranged
from warehouse.versions import Versions, default_store

# Raise it when the files change their meaning; older snapshots are then pulled anew.
FORMAT = 2

ATTRIBUTES = "attributes.parquet"
MANIFEST = "manifest.json"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a snapshot, written last: a folder without it is no snapshot."""

    format: int
    parent_model: str
    version: str
    taken_at: int  # microseconds since 1970 UTC
    rows: int
    predicates: tuple[str, ...]  # digests of what the bits answer, in their order
    source: str  # digest of where the rows come from
    read_at: int  # when all rows were last read; `taken_at`, unless the pull was partial
    columns: dict[str, ColumnType]  # of the attributes
    related: dict[str, dict[str, ColumnType]]  # columns of related models, by `source_digest`
    unreadable: dict[str, int]  # values that are missing because they do not read as declared
    collections: dict[str, str] = {}  # digests of what can be looked up, by key


class _Format(msgspec.Struct, frozen=True):
    """What manifests of all releases have."""

    format: int


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

    def covers(self, predicates: Sequence[WarehousePredicate]) -> bool:
        """Whether it has a bit for each of these predicates, in whatever order."""
        return {digest_of(one) for one in predicates} <= set(self.manifest.predicates)

    def is_of(self, model: ParentModel) -> bool:
        """Whether its rows come from where the model's do now."""
        return self.manifest.source == source_digest(model)

    def serves(self, plan: ParentPlan) -> bool:
        """Whether a job can go on with it: it has the plan's bits, and its collections."""
        return (
            self.is_of(plan.parent_model)
            and self.covers(plan.predicates)
            and self.has_collections(plan.collections)
        )

    def serving(self, predicates: Sequence[WarehousePredicate]) -> WarehouseSnapshot:
        """The same users with the bits of these predicates alone, in this order.

        Only the patterns are made anew, of which there are few.

        Raises:
            WarehouseError: it does not answer all of them.
        """
        wanted = tuple(digest_of(one) for one in predicates)
        if wanted == self.manifest.predicates:
            return self
        if not self.covers(predicates):
            raise WarehouseError(
                f"snapshot {self.version} of {self.manifest.parent_model} was pulled with other "
                f"definitions; run: usher pull {self.manifest.parent_model}"
            )
        places = [self.manifest.predicates.index(one) for one in wanted]
        patterns = rearranged(self.snapshot.patterns, places)
        return replace(
            self,
            manifest=msgspec.structs.replace(self.manifest, predicates=wanted),
            snapshot=self.snapshot._replace(patterns=patterns),
        )

    def has_collections(self, collections: Iterable[Collection]) -> bool:
        """Whether these collections can be looked up in it."""
        known = self.manifest.collections
        return all(known.get(one.key) == collection_digest(one) for one in collections)

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
        written = (folder / MANIFEST).read_bytes()
        if msgspec.json.decode(written, type=_Format).format != FORMAT:
            raise WarehouseError(f"snapshot {folder} is of another release; pull it anew")
        manifest = msgspec.json.decode(written, type=Manifest)
        snapshot = Snapshot(
            users=Texts(mapped(folder / "user_data.npy"), mapped(folder / "user_starts.npy")),
            hashes=mapped(folder / "hashes.npy"),
            pattern_of=mapped(folder / "pattern_of.npy"),
            patterns=mapped(folder / "patterns.npy"),
        )
        rows = mapped(folder / "attribute_rows.npy")
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise WarehouseError(f"snapshot {folder} is damaged ({error}); pull it anew") from error
    lengths = {len(snapshot.users.starts) - 1, len(snapshot.hashes), len(snapshot.pattern_of)}
    if lengths | {len(rows)} != {manifest.rows}:
        raise WarehouseError(f"snapshot {folder} is damaged (files of unlike length); pull it anew")
    return WarehouseSnapshot(folder, manifest, snapshot, rows)


class OpenedVersions:
    """The versions that a process has opened of late, each once, whoever asks for it."""

    _KEPT = 4

    def __init__(self) -> None:
        self._opened: dict[Path, WarehouseSnapshot] = {}

    def get(self, folder: Path, predicates: Sequence[WarehousePredicate]) -> WarehouseSnapshot:
        """The version in a folder, with the bits of these predicates.

        Raises:
            WarehouseError: it is not there, it is damaged, or its bits are those of others.
        """
        found = self._opened.get(folder)
        if found is None:
            found = open_snapshot(folder).serving(predicates)
            for oldest in list(self._opened)[: 1 - self._KEPT]:
                self._opened.pop(oldest, None)
            self._opened[folder] = found
        return found


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


def digest_of(predicate: WarehousePredicate) -> str:
    """Equal for equal predicates."""
    return hashlib.blake2b(repr(predicate).encode(), digest_size=8).hexdigest()


def collection_digest(collection: Collection) -> str:
    """Equal for collections whose files are equal."""
    meaning = repr((collection.parent_model, collection.indexes, collection.fields))
    return hashlib.blake2b(meaning.encode(), digest_size=8).hexdigest()


def source_digest(model: ParentModel | RelatedModel) -> str:
    """Equal for models whose rows come from the same place by the same keys."""
    return hashlib.blake2b(repr((model.source, model.keys)).encode(), digest_size=8).hexdigest()
