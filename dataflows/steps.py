"""Steps: what happens next to everybody, and to one key group.

Time travels in the stream.  A step says that a snapshot takes force, or that events arrive, and
then which instant the clock has reached.  Because ticks are items like events, what is evaluated
never depends on when some process woke up, and a replay repeats it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dataflows.questions import Answer, Question
from engine.group import Counts, Member
from engine.hashing import GROUPS, groups_of, stable_hashes
from engine.inputs import Inputs
from engine.plan import Bytes
from engine.texts import Texts
from engine.transitions import Transitions


class Step(NamedTuple):
    """In this order: the snapshots take force, the events arrive, the clock reaches `tick`.

    Then the key groups of number `reconciled`, if any, say who is in, and what was `asked` is
    answered.

    These `versions` of snapshots take force, by parent model, where it is a switch; without any
    named, those that the job begins with, and with them the definitions.

    What is `recalled` has happened before.  `known_since` comes with its end: by parent model and
    number of the condition, since when all that it counts has been recalled.
    """

    take_force_at: int | None
    inputs: Mapping[str, Inputs]  # by parent model
    tick: int
    reconciled: int | None = None
    recalled: Mapping[str, Inputs] = {}  # by parent model
    known_since: Mapping[str, Mapping[int, int]] | None = None
    versions: Mapping[str, str] | None = None
    asked: Sequence[Question] = ()


class GroupStep(NamedTuple):
    """One key group's part of a step; `inputs` are its own, in order, or `None` for none."""

    parent_model: str
    group: int
    take_force_at: int | None
    inputs: Inputs | None
    tick: int
    is_reconciled: bool = False
    recalled: Inputs | None = None
    known_since: Mapping[int, int] | None = None
    version: str | None = None  # that takes force; `None` for the one that the job begins with
    asked: Sequence[Question] = ()  # of its users


class GroupTransitions(NamedTuple):
    """What a step meant to a key group.  Nothing before `tick` will be added any more."""

    parent_model: str
    group: int
    transitions: Transitions
    counts: Counts  # of this step's inputs
    pull: str  # of the snapshot in force
    tick: int
    members: list[Member] | None = None  # at `tick`, if they are to be reconciled
    warming: Mapping[str, int] | None = None  # conditions that still are when a recall has ended
    answers: Sequence[Answer] = ()


def split_by_group(
    steps: Iterable[Step], parent_models: Iterable[str]
) -> list[tuple[str, GroupStep]]:
    """Each key group's part of each step, with the group's key for the stream."""
    parents = list(parent_models)
    return [
        (
            group_key(parent, group),
            GroupStep(
                parent,
                group,
                step.take_force_at if _concerns(step, parent) else None,
                part,
                step.tick,
                group == step.reconciled,
                recalled,
                None if step.known_since is None else step.known_since[parent],
                None if step.versions is None else step.versions.get(parent),
                asked.get(group, ()),
            ),
        )
        for step in steps
        for parent in parents
        for asked in [_asked(step.asked, parent)]
        for group, (part, recalled) in enumerate(
            zip(_parts(step.inputs.get(parent)), _parts(step.recalled.get(parent)), strict=True)
        )
    ]


def _concerns(step: Step, parent: str) -> bool:
    """Whether the snapshots that take force are also the parent model's."""
    return step.versions is None or parent in step.versions


def group_key(parent_model: str, group: int) -> str:
    """What names a key group in the stream, and in what is stored."""
    return f"{parent_model}/{group:02d}"


def _asked(questions: Sequence[Question], parent: str) -> dict[int, list[Question]]:
    """Each key group's part of the questions about a parent model's users."""
    parts: dict[int, list[Question]] = {}
    for number, parent_model, user_ids in questions:
        if parent_model != parent:
            continue
        of_group: dict[int, list[str]] = {}
        groups = groups_of(stable_hashes(Texts.of(user_ids))).tolist()
        for user_id, group in zip(user_ids, groups, strict=True):
            of_group.setdefault(group, []).append(user_id)
        for group, users in of_group.items():
            parts.setdefault(group, []).append(Question(number, parent, users))
    return parts


def _parts(inputs: Inputs | None) -> list[Inputs | None]:
    """The inputs of each key group."""
    if inputs is None:
        return [None] * GROUPS
    groups, inputs = _arranged(inputs)
    edges = np.searchsorted(groups, np.arange(GROUPS + 1)).tolist()
    return [inputs.between(first, end) if first < end else None for first, end in pairwise(edges)]


def arranged_by_group(inputs: Inputs) -> Inputs:
    """Each key group's inputs next to each other, in their order.

    A group that reads its events next to each other in memory is evaluated in half the time.
    """
    return _arranged(inputs)[1]


def _arranged(inputs: Inputs) -> tuple[Bytes, Inputs]:
    groups = groups_of(inputs.user_hashes).astype(np.uint8)
    if (groups[1:] < groups[:-1]).any():
        order = np.argsort(groups, kind="stable")
        groups, inputs = groups[order], inputs.taken(order)
    return groups, inputs.frozen()
