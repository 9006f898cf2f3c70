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


class PositionUnusable(StoreError):
    """The journal does not have what follows a reader's position; `first` is where to go on."""

    def __init__(self, why: str, first: int) -> None:
        super().__init__(f"{why}; read the members anew and go on from there")
        self.first = first


class PositionPruned(PositionUnusable):
    """Retention has removed it."""

    def __init__(self, after: int, first: int) -> None:
        super().__init__(
            f"the journal no longer has what follows position {after}; the oldest transition kept "
            f"is at position {first}",
            first,
        )


class PositionAhead(PositionUnusable):
    """The position is another journal's: this one has not come as far."""

    def __init__(self, after: int, end: int) -> None:
        super().__init__(
            f"the journal ends at position {end}, before position {after}: the store was restored "
            "or begun anew",
            end + 1,
        )
