"""Transitions in a project's store, as a job would have recorded them."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from engine.hashing import groups_of, stable_hashes
from engine.texts import Texts
from engine.transitions import Cause
from membership.proposals import Proposals
from project.folder import LoadedProject
from project.stores import open_store

SECOND = 1_000_000
NOW = 2_000 * SECOND


class Turn(NamedTuple):
    """The `number`-th transition of a user and audience: an entry if that is odd."""

    user_id: str
    audience: str
    number: int = 1
    parent_model: str = "users"
    at: int = 1_000 * SECOND


def record(loaded: LoadedProject, *turns: Turn) -> None:
    """In their order, each at the next position of the journal."""
    proposals = [
        Proposals(
            one.parent_model,
            group_of(one.user_id),
            (one.audience,),
            ("v1",),
            [one.user_id],
            [0],
            [one.at],
            [one.number],
            [int(Cause.EVENT)],
            ["m"],
        )
        for one in turns
    ]
    with closing(open_store(loaded)) as store:
        store.claim({(one.parent_model, one.key_group) for one in proposals})
        assert len(store.record(proposals, NOW)) == len(proposals)


def group_of(user_id: str) -> int:
    return int(groups_of(stable_hashes(Texts.of([user_id])))[0])
