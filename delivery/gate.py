"""Whether a destination is to be sent anything now, judged by what it said to all before.

- It fails: five requests in a row, and the gate opens the circuit.  After a while that grows with
  each failure, one message finds out whether it works again: among others, one that is never taken
  might keep it open.
- It asks to wait: nothing goes out until then.
- It refuses the credentials: the sync pauses, and one message every five minutes finds out whether
  somebody has mended them.
- It is gone: nothing goes out until somebody resumes the sync.

A message that is refused again and again while others pass is no sign of a broken destination.  So
of a message that goes alone only the first failure since the last success counts.  Several of which
none is taken always count: a lane may have room for no others than those that have failed already.
"""

from __future__ import annotations

from delivery.backoff import SECOND, backoff
from membership.deliveries import SyncStatus

FAILURES = 5
PROBED_EVERY = 300 * SECOND
LONGEST_HOLD = 3_600 * SECOND


class Gate:
    """`since` is when it took its status, `reason` why."""

    def __init__(self, status: SyncStatus, since: int, reason: str) -> None:
        # Whether the destination fails is found out anew at each start; a pause outlives it.
        self.status: SyncStatus = SyncStatus.RUNNING if status is SyncStatus.OPEN else status
        self.since = since
        self.reason = reason
        self.era = 0
        """The number of successes: what has failed in an earlier era may fail anew."""
        self._failures = 0
        self._probes = 0
        self._until = 0
        self._probing = False

    @property
    def is_running(self) -> bool:
        return self.status is SyncStatus.RUNNING

    def room(self, now: int, most: int) -> int:
        """How many messages the next request may have; 0: none is to be sent."""
        if self.status is SyncStatus.DISABLED or self._probing or now < self._until:
            return 0
        return most if self.is_running else 1

    @property
    def until(self) -> int | None:
        """When it may have room again; `None` where that is not for time to say."""
        if self.status is SyncStatus.DISABLED or self._probing:
            return None
        return self._until

    def sent(self) -> bool:
        """A request goes out; where the destination is not known to work, as the only one, a probe.

        What has come back is told with that, so that an answer to an older request ends no probe.
        """
        self._probing = not self.is_running
        return self._probing

    def succeeded(self, now: int, *, probe: bool) -> bool:
        """The destination has taken, or judged, a message; say whether it had not worked before."""
        self._returned(probe=probe)
        self._failures = self._probes = 0
        self.era += 1
        if self.is_running or self.status is SyncStatus.DISABLED:
            return False
        self._until = now
        return self._become(SyncStatus.RUNNING, now, "")

    def failed(self, now: int, jitter: float, reason: str, *, probe: bool, counts: bool) -> bool:
        """A request has failed as a whole; `counts` unless it had one message, which had lately.

        Say whether the circuit has opened.
        """
        self._returned(probe=probe)
        self._failures += counts
        if self.status is SyncStatus.PAUSED and probe:
            self._until = now + PROBED_EVERY
        if self.status is SyncStatus.OPEN and probe:
            self._probes += 1
            self._until = now + backoff(self._probes, jitter)
        if not self.is_running or self._failures < FAILURES:
            return False
        self._probes = 1
        self._until = max(self._until, now + backoff(self._probes, jitter))
        return self._become(SyncStatus.OPEN, now, reason)

    def told_to_wait(self, now: int, wait: int) -> None:
        self._until = max(self._until, now + min(wait, LONGEST_HOLD))

    def refused(self, now: int, reason: str, *, probe: bool) -> bool:
        """The credentials are; say whether that is news."""
        self._returned(probe=probe)
        if self.status is SyncStatus.DISABLED:
            return False
        self._until = now + PROBED_EVERY
        return self._become(SyncStatus.PAUSED, now, reason)

    def gone(self, now: int, reason: str, *, probe: bool) -> bool:
        """The destination is no more; say whether that is news."""
        self._returned(probe=probe)
        return self._become(SyncStatus.DISABLED, now, reason)

    def resume(self, now: int) -> None:
        """Somebody says that it works."""
        self._failures = self._probes = 0
        self._until = now
        self._become(SyncStatus.RUNNING, now, "")

    def _returned(self, *, probe: bool) -> None:
        if probe:
            self._probing = False

    def _become(self, status: SyncStatus, now: int, reason: str) -> bool:
        if status is self.status:
            return False
        self.status, self.since, self.reason = status, now, reason
        return True
