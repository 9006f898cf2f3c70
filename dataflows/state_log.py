"""The state files of a project: many chains, made durable together.

The folder may be shared by several processes; each writes files of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from connectors.durability import make_durable
from dataflows.chains import SUFFIX, Chain, Position, read_chain

# Files that are made durable at the same time share the disk's journal: 64 of them take 6 ms in
# this many threads where one after the other took 20, and no less in more.
_THREADS = 8

# This file says that positions in the files beside it have been stored.
_IN_USE = "in-use"


class StateLog:
    """The chains in a folder, which is made when there is something to write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._owner = secrets.token_hex(4)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="usher-state")
        self._is_in_use = self.is_in_use

    @property
    def is_in_use(self) -> bool:
        """Whether some position in these files has been stored for certain."""
        return (self.folder / _IN_USE).exists()

    def chain(self, name: str, position: Position | None = None) -> Chain:
        """A new chain, or one that goes on from a position."""
        return Chain(self.folder, name, self._owner, position)

    def write(self, records: Iterable[tuple[Chain, bytes, bool]]) -> None:
        """Add records to chains, complete ones where the third value says so; make them durable.

        Each is written while the next one is made.

        Raises:
            OSError, DamagedLog: see `Chain.add`.
        """
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, exist_ok=True)  # another worker may be quicker
            make_durable(self.folder.parent)
        writes = [
            self._pool.submit(chain.add, content, complete=complete)
            for chain, content, complete in records
        ]
        made_files = [write.result() for write in writes]
        if any(made_files):
            make_durable(self.folder)

    def close_epoch(self, chain: Chain) -> None:
        """See `Chain.close_epoch`."""
        if chain.close_epoch() and not self._is_in_use:
            (self.folder / _IN_USE).touch(mode=0o600)
            self._is_in_use = True

    def read(self, position: Position) -> list[bytes]:
        """See `read_chain`."""
        return read_chain(self.folder, position)

    def keep_only(self, positions: Collection[Position]) -> None:
        """Remove all files that none of the positions needs; only while nobody writes."""
        needed = {segment.name for position in positions for segment in position.segments}
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path.name not in needed:
                path.unlink()
