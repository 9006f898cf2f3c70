"""What a lane counts as long as its sync is there, restarts or not, and what failed last."""

from __future__ import annotations

from delivery.gate import Gate
from membership.deliveries import SyncState


class Counts:
    """Args: `state` is what the store remembers."""

    __slots__ = ("dead", "failed", "failed_at", "reason", "retried", "sent")

    def __init__(self, state: SyncState) -> None:
        self.sent, self.failed = state.sent, state.failed
        self.retried, self.dead = state.retried, state.dead
        self.reason, self.failed_at = state.reason, state.failed_at

    def state(self, gate: Gate) -> SyncState:
        """The sync as it is now; why it does not run, its gate knows better."""
        return SyncState(
            gate.status,
            gate.since,
            self.reason if gate.is_running else gate.reason,
            self.failed_at,
            self.sent,
            self.failed,
            self.retried,
            self.dead,
        )
