"""What deliveries know of users: the columns that syncs look at, in one version of a snapshot.

A message's body depends on the version that it was made with.  So that a repeated message has the
body that it had, deliveries name the version; it is kept for as long as they have pinned it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from audience_dsl.definitions import Collection
from warehouse.errors import WarehouseError
from warehouse.lookups import CollectionFiles, Record
from warehouse.versions import Versions, default_store

_KEY = 0  # the index of the primary key

# Versions that are held open: the one that is looked at, and the one before.
_OPEN = 2


class Profiles:
    """Users of one parent model in one version.

    `taken_at` is when it was pulled, microseconds since 1970 UTC.  `note` says in a sentence that
    it is not the version that was asked for; else it is empty.
    """

    def __init__(
        self, version: str, columns: Sequence[str], files: CollectionFiles | None, note: str = ""
    ) -> None:
        self.version = version
        self.taken_at = 0 if files is None else files.taken_at
        self.note = note
        self._files = files
        self._nobody: Record = dict.fromkeys(columns)

    def of(self, user_id: str) -> Mapping[str, object]:
        """All the columns; they are `None` where the warehouse does not know the user."""
        if self._files is None:
            return self._nobody
        found = next(self._files.find(_KEY, user_id.encode(errors="surrogatepass")), None)
        return self._nobody if found is None else _decoded(found)


class ProfileVersions:
    """The versions of a parent model's snapshot, opened as they are asked for.

    `collection` has the columns that syncs look at; without one nothing is ever looked up.
    """

    def __init__(
        self,
        root: Path,
        parent_model: str,
        collection: Collection | None,
        store: Path | None = None,
    ) -> None:
        self._collection = collection
        self._columns = (collection.fields or ()) if collection else ()
        self._versions = Versions(store or default_store(root), parent_model)
        self._opened: dict[str, Profiles] = {}

    def current(self) -> str:
        """The version in force; empty before the first pull."""
        return self._versions.current_version() or ""

    def pin(self, versions: Iterable[str]) -> None:
        """Have these versions kept, and no others any more on behalf of deliveries."""
        self._versions.pin(version for version in versions if version)

    def at(self, version: str) -> Profiles:
        """The users in a version; where it is gone or lacks a column, in the one in force.

        Raises:
            WarehouseError: neither can be read.
        """
        if self._collection is None:
            return Profiles(version, (), None)
        if version not in self._opened:
            for oldest in list(self._opened)[: 1 - _OPEN]:
                del self._opened[oldest]
            self._opened[version] = self._open(version, self._collection)
        return self._opened[version]

    def _open(self, version: str, collection: Collection) -> Profiles:
        try:
            return self._profiles(version, collection)
        except (WarehouseError, FileNotFoundError) as error:
            current = self.current()
            if current in ("", version):
                raise WarehouseError(str(error)) from error
            note = (
                f"snapshot {version} of {collection.parent_model} cannot be looked at any more: "
                f"messages that are sent again are made with {current}"
            )
        try:
            return self._profiles(current, collection, note)
        except FileNotFoundError as error:
            raise WarehouseError(str(error)) from error

    def _profiles(self, version: str, collection: Collection, note: str = "") -> Profiles:
        files = CollectionFiles(self._versions.folder / version, collection)
        return Profiles(files.version, self._columns, files, note)


_fast = msgspec.json.Decoder(Record).decode


def _decoded(document: bytes) -> Record:
    try:
        return _fast(document)
    except msgspec.MsgspecError:  # an infinite number
        found: Record = json.loads(document)
        return found
