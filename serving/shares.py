"""How many bytes may be held for all clients together, and for one of them.

With a share for each, nobody takes up what is there for all by sending slowly.
"""

from __future__ import annotations

from collections import Counter

# So many clients can hold all there is, if each holds as much as it may.
_CLIENTS = 8


class Shares:
    """To be used on one event loop; `most` is for one client, by default an eighth of all."""

    def __init__(self, size: int, most: int | None = None) -> None:
        self.left = size
        """Bytes that nobody holds."""
        self._most = size // _CLIENTS if most is None else most
        self._held: Counter[str] = Counter()

    def take(self, client: str, size: int) -> bool:
        """Whether there is so much left, for all and for this client; then it holds it."""
        if size > self.left or self._held[client] + size > self._most:
            return False
        self.left -= size
        self._held[client] += size
        return True

    def give_back(self, client: str, size: int) -> None:
        self.left += size
        self._held[client] -= size
        if not self._held[client]:
            del self._held[client]
