"""What is wrong is said once a minute as long as it is so, however many requests meet it."""

from __future__ import annotations

import threading
import time

from dataflows.log_lines import tell

_AGAIN = 60.0


class Reminders:
    """Its method may be called from any thread."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}  # when
        self._lock = threading.Lock()

    def tell(self, sentence: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._said = {one: at for one, at in self._said.items() if now - at < _AGAIN}
            is_new = sentence not in self._said
            if is_new:
                self._said[sentence] = now
        if is_new:
            tell(sentence)
