"""What the server answers from: the project as it is now, its store, and what runs beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request

from audience_dsl.definitions import ParentPlan
from dataflows.progress import Progress
from dataflows.questions import Questions
from membership.keys import ApiKey
from membership.reader import MembershipReader
from project.folder import LoadedProject
from project.stores import open_reader
from serving.admission import Admission
from serving.answered import Answered
from serving.asking import Pulls
from serving.keyring import Keyring
from serving.problems import Problem
from serving.stores import Store

_X = TypeVar("_X")


class Service:
    """To be closed when it is done with; its methods may be called from any thread.

    `progress` is that of the job that it is beside, if there is one; `questions` are for whichever
    job evaluates on this machine.
    Who is in what is read from `memberships` in threads, on the event loop from `at_once`, which
    nobody else may hold; the journal from `journal`, and what is new of it from `newest`.
    `is_draining` says that the job is about to end, and the server with it.
    """

    def __init__(self, loaded: LoadedProject, pulls: Pulls, progress: Progress | None) -> None:
        self.loaded = loaded
        self.pulls = pulls
        self.progress = progress
        self.questions = Questions()
        self.is_draining = False
        self.answered = Answered()
        self._ends: list[Callable[[], None]] = []
        # Each has its connection, which one question has at a time: what takes long holds up
        # nothing that is quick.  Nor do those who wait for it, if they wait on the event loop:
        # threads are few, and in common.
        self._stores = [Store(lambda: open_reader(self.loaded)) for _ in range(6)]
        self.store, self.memberships, self.at_once, self.journal, self.newest, keys = self._stores
        self.keyring = Keyring(lambda: keys.read(_keys))
        self.admission = Admission(loaded.project.serving, loaded.root, self.keyring)

    def follow(self, loaded: LoadedProject) -> None:
        """From now on answer by these definitions."""
        self.loaded = loaded

    @property
    def plans(self) -> dict[str, ParentPlan]:
        return dict(self.loaded.project.plans)

    def plan(self, request: Request) -> tuple[str, ParentPlan]:
        """The parent model that a request names.

        Raises:
            Problem: there is none of that name.
        """
        parent = str(request.path_params["parent_model"])
        plan = self.loaded.project.plans.get(parent)
        if plan is None:
            raise Problem(
                HTTPStatus.NOT_FOUND, "the project has no parent model of this name; see schema.yml"
            )
        return parent, plan

    def read(self, ask: Callable[[MembershipReader], _X]) -> _X:
        """Ask the store.

        Raises:
            StoreError: it cannot be read.
        """
        return self.store.read(ask)

    def at_end(self, end: Callable[[], None]) -> None:
        """Call this when the server is about to end, for what goes on by itself."""
        self._ends.append(end)

    def end(self) -> None:
        """Let end what goes on by itself."""
        for one in self._ends:
            one()

    def close(self) -> None:
        for store in self._stores:
            store.close()


def _keys(reader: MembershipReader) -> Sequence[ApiKey]:
    return reader.keys()
