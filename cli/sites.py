"""Where the workers of a job are: on this machine, or on several of which this one leads."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from connectors.sentences import Trouble
from dataflows.cluster import Preparation, cluster_folder
from dataflows.log_lines import tell
from dataflows.machines import Board, Machines, Notice, Presence, definitions_digest
from dataflows.recovery import Recovery
from dataflows.refusal import JobRefused

# Seconds after which it is said for whom we wait, and after which nobody is waited for any more.
_SAYS = 5.0
_WAITS = 300.0
_LOOK = 0.2

# In the folder of a start: the job is to stop.
_STOP = "stop"


class Site(Protocol):
    @property
    def own(self) -> Sequence[int]:
        """The numbers of the workers on this machine."""

    def addresses(self) -> tuple[str, ...]:
        """Of all workers."""

    def gather(self, stop: threading.Event) -> None:
        """Return when everybody is there who is needed, or `stop` is set."""

    def announce(self, preparation: Preparation, recovery: Recovery, meetings: Path) -> None:
        """A start is prepared; those who are elsewhere may begin."""

    def is_stopped(self, meetings: Path) -> bool:
        """Whether somebody elsewhere wants this start to stop."""

    def stop(self, meetings: Path) -> None:
        """Tell those who are elsewhere to stop."""

    def close(self) -> None: ...


class OneMachine:
    """All workers are here."""

    def __init__(self, workers: int) -> None:
        self.own = range(workers)

    def addresses(self) -> tuple[str, ...]:
        """Free ones; should somebody else be quicker to use one, the job starts once more."""
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in self.own]
        addresses = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in sockets)
        for one in sockets:
            one.close()
        return addresses

    def gather(self, stop: threading.Event) -> None:
        """Nobody else is needed."""

    def announce(self, preparation: Preparation, recovery: Recovery, meetings: Path) -> None:
        """Nobody else needs to know."""

    def is_stopped(self, meetings: Path) -> bool:  # noqa: ARG002
        return False

    def stop(self, meetings: Path) -> None:
        """Nobody else needs to know."""

    def close(self) -> None:
        """Nothing is held."""


class LeadingMachine:
    """Some workers are on other machines, whose supervisors do as this one says."""

    def __init__(self, root: Path, machines: Machines) -> None:
        self._root = root
        self._machines = machines
        self._board = Board(cluster_folder(root))
        self._presence = Presence(cluster_folder(root), machines)
        self.own = machines.own

    def addresses(self) -> tuple[str, ...]:
        return self._machines.of_workers

    def gather(self, stop: threading.Event) -> None:
        """See `Site`.

        Raises:
            JobRefused: somebody does not come.
        """
        await_machines(self._presence, cluster_folder(self._root), stop)

    def announce(self, preparation: Preparation, recovery: Recovery, meetings: Path) -> None:
        self._board.put_up(
            Notice(
                start=meetings.name,
                started=preparation.started,
                workers=self._machines.workers,
                machines=len(self._machines.addresses),
                definitions=definitions_digest(self._root),
                snapshots={key: one.version for key, one in preparation.snapshots.items()},
                stored=dict(recovery.shares),
                clock=recovery.clock,
            )
        )

    def is_stopped(self, meetings: Path) -> bool:
        return is_stopped(meetings)

    def stop(self, meetings: Path) -> None:
        say_stop(meetings)

    def close(self) -> None:
        self._board.take_down()
        self._presence.close()


def await_machines(presence: Presence, folder: Path, stop: threading.Event) -> None:
    """Return when all other machines are there, or `stop` is set.

    Raises:
        JobRefused: one of them does not come.
    """
    began = time.monotonic()
    said = False
    while missing := presence.missing():
        waited = time.monotonic() - began
        names = " and ".join(f"machine {number}" for number in missing)
        why = f"it has left no sign in {folder}, which has to be on a file system that all share"
        if waited > _WAITS:
            raise JobRefused(f"{names} did not come within {_WAITS:.0f} s; {why}")
        if waited > _SAYS and not said:
            said = True
            tell(Trouble(f"waiting for {names}; {why}"))
        if stop.wait(_LOOK):
            return


def is_stopped(meetings: Path) -> bool:
    return (meetings / _STOP).exists()


def say_stop(meetings: Path) -> None:
    if meetings.exists():
        (meetings / _STOP).touch(mode=0o600)
