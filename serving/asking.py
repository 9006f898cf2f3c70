"""Asking for pulls, as the server sees it: somebody else in the process starts and watches them."""

from __future__ import annotations

from typing import Protocol


class Pulls(Protocol):
    def ask(self, parent_model: str, *, full: bool) -> bool:
        """Let a pull begin from now on, as soon as none is under way; one is for all who ask.

        Returns:
            Whether nobody has asked before for the one that is to begin.
        """
