"""What can go wrong with a store, each as a sentence for the person who runs it."""

from __future__ import annotations


class StoreError(Exception):
    """The environment is at fault: what, where, and what to do about it."""


class StoreMissing(StoreError):
    """There is nothing to read yet."""


class StoreUnavailable(StoreError):
    """Locked, full or unreachable: nothing was changed, and the same call may succeed later."""


class StoreDamaged(StoreError):
    """What is stored cannot be relied on."""


class StoreTooNew(StoreError):
    """A later release has written the store."""


class OwnerChanged(StoreError):
    """Another process has claimed a key group: this one must stop writing to it."""


class PositionPruned(StoreError):
    """A reader asks for transitions that retention has removed from the journal."""

    def __init__(self, after: int, first: int) -> None:
        super().__init__(
            f"the journal no longer has what follows position {after}; the oldest transition kept "
            f"is at position {first}; read the members anew and go on from there"
        )
        self.first = first
