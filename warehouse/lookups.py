"""Looking up rows of a collection in the snapshot in force.

A reader follows the pull: before each question it looks whether another version has taken force,
which costs a microsecond, and maps that one's files.  It may run in any process, and be asked from
any thread.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audience_dsl.definitions import Collection, ParentModel
from audience_dsl.syncs import SYNC_COLLECTION
from warehouse.arrays import mapped
from warehouse.collections import path_of
from warehouse.errors import WarehouseError
from warehouse.snapshot import MANIFEST, Manifest, collection_digest
from warehouse.versions import Versions, default_store

Record = dict[str, Any]
Find = Callable[[str | int], Iterator[bytes]]

# A version that is removed while it is opened was not in force any more.
_ATTEMPTS = 5


class CollectionReader:
    """The rows of one collection by the primary key or an index.

    A value is a text, or a whole number for columns of such.

    Raises:
        WarehouseError: by all methods; nothing has been pulled yet, or not with this collection.
        KeyError: by all methods; there is no such index.
    """

    def __init__(
        self, root: Path, model: ParentModel, collection: Collection, *, store: Path | None = None
    ) -> None:
        self._collection = collection
        self._numbers = {
            name: place for place, name in enumerate((model.primary_key, *collection.indexes))
        }
        self._versions = Versions(store or default_store(root), model.key)
        self._held: tuple[object, CollectionFiles] | None = None

    @property
    def version(self) -> str:
        """Of the snapshot that is looked at."""
        return self._current().version

    def get(self, index: str, value: str | int) -> list[Record]:
        """The records with that value, in the order of the warehouse's rows."""
        return self.get_many(index, [value])[0]

    def get_many(self, index: str, values: Sequence[str | int]) -> list[list[Record]]:
        """The same for each value, all of one version."""
        find = self.finder(index)
        return [[_decode(one) for one in find(value)] for value in values]

    def finder(self, index: str) -> Find:
        """What finds the records of one version as they are stored, each a JSON object.

        A record is read when it is asked for: an index may have many for one value.
        """
        number = self._numbers[index]
        files = self._current()
        return lambda value: files.find(number, _bytes(value))

    def _current(self) -> CollectionFiles:
        seen = self._versions.stamp()
        if self._held is None or self._held[0] != seen:
            self._held = seen, self._open()
        return self._held[1]

    def _open(self) -> CollectionFiles:
        for _ in range(_ATTEMPTS):
            folder = self._versions.current()
            if folder is None:
                break
            try:
                return CollectionFiles(folder, self._collection)
            except FileNotFoundError:
                continue
        raise WarehouseError(
            f"nothing has been pulled of {self._collection.parent_model} yet, "
            f"which collection {self._collection.key} belongs to"
        )


class CollectionFiles:
    """The files of one version in a folder; `taken_at` is when it was pulled.

    Raises:
        WarehouseError: the collection is not in it, or it is damaged.
        FileNotFoundError: it is not there any more.
    """

    def __init__(self, folder: Path, collection: Collection) -> None:
        try:
            manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
            self.version = manifest.version
            self.taken_at = manifest.taken_at
            if manifest.collections.get(collection.key) != collection_digest(collection):
                needs = f"collection {collection.key}"
                if collection.key == SYNC_COLLECTION:
                    needs = "what syncs map"
                raise WarehouseError(
                    f"snapshot {self.version} of {collection.parent_model} does not have {needs} "
                    f"as it is defined now; run: usher pull {collection.parent_model}"
                )
            self._rows = _Texts(
                path_of(folder, collection.key, "documents"),
                path_of(folder, collection.key, "bounds.npy"),
            )
            self._indexes = [
                _Index(folder, f"{collection.key}.{number}")
                for number in range(len(collection.indexes) + 1)
            ]
        except (ValueError, msgspec.MsgspecError) as error:
            raise WarehouseError(f"snapshot {folder} is damaged ({error}); pull it anew") from error

    def find(self, index: int, value: bytes) -> Iterator[bytes]:
        return (self._rows[row] for row in self._indexes[index].rows(value))


class _Texts:
    """Texts in a file, mapped into memory."""

    def __init__(self, path: Path, bounds: Path) -> None:
        self._bounds = _numbers(bounds)
        self._data = _mapped(path)
        if len(self._data) != self._bounds[-1]:
            raise ValueError(f"{path.name} is {len(self._data)} bytes long, not {self._bounds[-1]}")
        self._length = len(self._bounds) - 1

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, place: int) -> bytes:
        return self._data[self._bounds[place] : self._bounds[place + 1]]


class _Index:
    def __init__(self, folder: Path, name: str) -> None:
        self._values = _Texts(path_of(folder, name, "values"), path_of(folder, name, "bounds.npy"))
        self._rows = _numbers(path_of(folder, name, "rows.npy"))

    def rows(self, value: bytes) -> Iterator[int]:
        place = bisect_left(self._values, value)
        while place < len(self._values) and self._values[place] == value:
            yield self._rows[place]
            place += 1


def _numbers(path: Path) -> memoryview:
    """A view gives plain numbers, several times faster than numpy one at a time."""
    return memoryview(mapped(path))


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as file:
        if not path.stat().st_size:  # which cannot be mapped
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _bytes(value: str | int) -> bytes:
    # A lone surrogate is no text, and equal to none.
    return str(value).encode(errors="surrogatepass")


_decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode
