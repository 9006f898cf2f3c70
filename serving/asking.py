"""Asking for pulls, as the server sees it: somebody else in the process starts and watches them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Asked:
    """`is_new` unless a pull that was asked for already, or is under way, will do."""

    is_new: bool


class PullImpossible(Exception):
    """It cannot be asked for now; the text says why and what to do."""


class Pulls(Protocol):
    def ask(self, parent_model: str, *, full: bool) -> Asked:
        """Let a parent model be pulled as soon as possible.

        Raises:
            PullImpossible: another that is under way is not what is asked for.
        """
