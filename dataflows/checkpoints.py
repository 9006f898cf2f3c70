"""Checkpoints: what changed in the key groups of a worker is written to disk together.

Bytewax asks one key after the other for its snapshot when an epoch closes.  Making each of them
durable on its own would cost an epoch 64 waits for the disk.  So the first group that is asked, and
has changed, has all changed groups of its worker written; the others find their part done.  Should
a group change between that and its own turn, it is asked as a group that has changed: nothing
depends on the order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import msgspec

from dataflows.chains import Chain, Position
from dataflows.seals import BrokenSeal, sealed, unsealed
from dataflows.state_log import StateLog

# So many groups may begin their chains anew at a time, so that no epoch has to bear all of them.
_REBASED_SHARE = 8


class StoredGroup(msgspec.Struct, frozen=True):
    """What is stored of a key group when an epoch closes.

    Since the state was recorded only the clock has moved on, and nothing was due by then.
    """

    key: str
    pull: str  # version of the snapshot that was in force
    clock: int
    state: Position | bytes  # where the state is, or the state itself

    def to_bytes(self) -> bytes:
        return sealed(msgspec.msgpack.encode(self))

    @classmethod
    def from_bytes(cls, stored: bytes) -> StoredGroup:
        """Read what `to_bytes` has written.

        Raises:
            BrokenSeal: see there.
        """
        try:
            return msgspec.msgpack.decode(unsealed(stored), type=cls)
        except msgspec.MsgspecError as error:
            raise BrokenSeal(f"a stored group cannot be read: {error}") from error


class Chained(Protocol):
    """A group that is kept in a chain."""

    changed: bool  # since its last record

    @property
    def chain(self) -> Chain: ...

    def record(self, *, complete: bool) -> bytes:
        """The state, or the difference to the last record; the group has not changed any more."""


class Checkpoints:
    """Of all workers of a process.

    A worker is known by its thread: it evaluates its groups and asks for their snapshots on one.
    All events wait meanwhile, so whoever else has much to do gives way.
    """

    def __init__(
        self,
        log: StateLog,
        giving_way: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.log = log
        self._giving_way = giving_way
        self._groups: dict[int, list[Chained]] = {}

    def include(self, group: Chained) -> None:
        """To be called by the group's worker."""
        self._groups.setdefault(threading.get_ident(), []).append(group)

    def write(self) -> None:
        """Return when all groups of the calling worker are durable as they are.

        Raises:
            OSError, DamagedLog: see `StateLog.write`.
        """
        changed = [one for one in self._groups[threading.get_ident()] if one.changed]
        with self._giving_way():
            self.log.write(_records(changed))


def _records(groups: list[Chained]) -> Iterator[tuple[Chain, bytes, bool]]:
    outgrown = sorted(
        (one for one in groups if one.chain.growth >= 1), key=lambda one: -one.chain.growth
    )
    rebased = set(map(id, outgrown[: max(1, len(groups) // _REBASED_SHARE)]))
    for one in groups:
        complete = one.chain.position is None or id(one) in rebased
        yield one.chain, one.record(complete=complete), complete
