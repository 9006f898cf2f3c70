"""Switches: which versions of snapshots take force while a job runs, and at which instants.

A switch is written down, durably, before anything can depend on it.  So a job that resumes from an
earlier moment lets the same versions take force at the same instants, in the same order with the
events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from connectors.durability import make_durable
from dataflows.seals import BrokenSeal, sealed, unsealed

_NAME = "switches"


class Switch(msgspec.Struct, frozen=True):
    """At an instant these versions take force, by parent model; other models keep theirs."""

    at: int
    versions: dict[str, str]


class SwitchJournal:
    """The switches that a job may have to repeat, in a small file beside its state."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME

    def read(self) -> list[Switch]:
        """In the order of their instants.

        Raises:
            BrokenSeal: the file is damaged.
        """
        try:
            found = msgspec.json.decode(unsealed(self.path.read_bytes()), type=list[Switch])
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise BrokenSeal(f"{self.path} cannot be read: {error}") from error
        return sorted(found, key=lambda one: one.at)

    def write(self, switches: Iterable[Switch]) -> None:
        """Replace what is there; when this returns, it will outlive a loss of power."""
        aside = self.path.with_suffix(".part")
        aside.write_bytes(sealed(msgspec.json.encode(list(switches))))
        make_durable(aside)
        aside.replace(self.path)
        make_durable(self.path.parent)

    def forget(self) -> None:
        """Remove the file: the state that it belonged to is gone."""
        self.path.unlink(missing_ok=True)


def after(switches: Sequence[Switch], clock: int) -> tuple[Switch, ...]:
    """Those that key groups which have reached `clock` may not know."""
    return tuple(one for one in switches if one.at >= clock)
