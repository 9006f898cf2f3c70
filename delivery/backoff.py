"""How long to wait before the next attempt.

The longest wait doubles with each failure, and a random part of it is waited: of many who failed
at once, no two come back together.
"""

from __future__ import annotations

SECOND = 1_000_000
SHORTEST = SECOND
LONGEST = 300 * SECOND


def backoff(failures: int, jitter: float) -> int:
    """Microseconds to wait after so many failures in a row; `jitter` is from [0, 1)."""
    longest = min(LONGEST, SHORTEST << min(failures - 1, 20))
    return int(longest * jitter)
