"""Pruning: the journal forgets what the project does not want to keep, once an hour.

It never forgets what a sync has still to deliver.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from connectors.sentences import Trouble
from connectors.wall_clock import wall_clock
from membership.errors import StoreError
from membership.retention import Retention
from membership.store import MembershipStore

_HOUR = 3_600.0

# Seconds between two removals, so that whoever records gets its turn.
_PAUSE = 0.005


class Pruning:
    """Prunes in a thread of its own, from the start until it is closed; `tell` is given sentences.

    What goes wrong is told, and tried again the next time.

    Args:
        every: Seconds.
    """

    def __init__(
        self,
        store: MembershipStore,
        retention: Retention,
        tell: Callable[[str], None],
        every: float = _HOUR,
    ) -> None:
        self._store = store
        self._retention = retention
        self._tell = tell
        self._every = every
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usher-pruning", daemon=True)
        if retention != Retention():
            self._thread.start()

    def close(self) -> None:
        """Stop, also in the midst of it."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                removed = self._store.prune(self._retention, wall_clock(), self._go_on)
            except StoreError as error:
                told = f"the journal could not be pruned: {error}; it will be tried again"
                self._tell(Trouble(told))
            else:
                if removed:
                    self._tell(f"{removed:,} old transitions were removed from the journal")
            if self._closing.wait(self._every):
                return

    def _go_on(self) -> bool:
        return not self._closing.wait(_PAUSE)
