"""Definitions that change and are given their past, against a job that had them from the start.

While the job goes on, history is recalled in any order and in any pieces, through restarts after
which it may begin again; all of it, or what came after some instant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests import oracle
from tests.harness import Job, Rig, Way
from tests.properties.definitions import KINDS
from tests.properties.histories import decode
from tests.properties.test_definition_changes import (
    HISTORIES,
    WAYS,
    Change,
    _assert_alternating,
    _by_key,
    _changed,
    _exact_from,
    _fed,
    _instants,
    _kept,
    _memberships,
    _read,
)

NEVER = 1 << 62

CHANGES = {
    kind: st.builds(
        _changed,
        st.tuples(audiences, audiences),
        st.lists(st.integers(0, 4), min_size=3, max_size=3),
    )
    for kind, audiences in KINDS.items()
}


class Outcome(NamedTuple):
    transitions: list[oracle.Transition]
    started: int  # when the new definitions were in force, and their past was known
    exact_from: Mapping[str, int]  # of each audience
    known_from: Mapping[str, int]  # when each user was one that has sent an event
    replayed: list[oracle.Step]  # the history with the change as the pull that it came with


@pytest.mark.parametrize("kind", CHANGES)
@settings(max_examples=settings().max_examples // 20)
@given(data=st.data())
def test_a_job_that_recalls_is_one_that_knew_from_the_start(kind: str, data: st.DataObject) -> None:
    change = data.draw(CHANGES[kind], label="definitions")
    try:
        before, after = Rig(change.before), Rig(change.after)
    except AssertionError:  # audiences that refer to each other in a circle
        assume(False)
    seed = data.draw(st.integers(0, 1 << 16), label="seed of cuts, restarts, the change and more")
    for way, encoded in zip(WAYS, data.draw(HISTORIES, label="histories"), strict=True):
        history = decode(encoded)
        outcome = _Run(before, after, way, Random(seed)).over(history.steps, history.until)
        _assert_alternating(outcome.transitions)
        _assert_right_from_the_start(after, outcome, history.until)
        _assert_kept_as_if_nothing_had_happened(before, after, change, outcome, history.until)


class _Run:
    def __init__(self, before: Rig, after: Rig, way: Way, random: Random) -> None:
        self.before, self.after, self.way, self.random = before, after, way, random
        self.found: list[oracle.Transition] = []

    def over(self, steps: Sequence[oracle.Step], until: int) -> Outcome:
        random = self.random
        carried = random.randrange(len(steps) + 1)
        past, rest = steps[:carried], list(steps[carried:])
        job = Job(self.before.plan, self.before.groups(steps) if self.way.split else [None])
        self.found += _fed(self.before, job, past, self.way, random)
        pulls = [step for step in past if isinstance(step, oracle.Pull)]
        if pulls:
            job.snapshot = self.after.snapshot(pulls[-1].rows, pulls[-1].at)
        job.carry_over(self.after.plan)
        clock = max(_instants(past), default=-NEVER)

        in_force = random.randrange(len(rest) + 1)
        ended = random.randrange(len(rest) + 1)
        begins_at = random.choice([None, None, clock - random.randrange(20) * 1_000_000])
        recalled = [
            step
            for step in past
            if isinstance(step, oracle.Event) and (begins_at is None or step.arrival >= begins_at)
        ]
        pieces = list(_pieces(recalled, random))
        waiting = list(pieces)
        replayed = list(steps)
        started = -NEVER
        known_from: dict[str, int] = {}
        exact_from: dict[str, int] = {}
        for place in range(len(rest) + 1):
            if place == in_force and pulls and job.held():
                pull = [step for step in steps[: carried + place] if isinstance(step, oracle.Pull)]
                rows = pull[-1].rows
                self.found += _read(
                    self.after, job.take_force(self.after.snapshot(rows, pull[-1].at), clock)
                )
                replayed.insert(carried + place, oracle.Pull(clock, rows))
                started = max(started, clock)
            if place <= ended and (place == ended or random.random() < 0.5):
                while waiting and (place == ended or random.random() < 0.7):
                    self.found += _read(self.after, job.recall(self._inputs(waiting.pop())))
                if place < ended and random.random() < self.way.restart:
                    job.restart(random)
                    if random.random() < 0.5:
                        waiting = list(pieces)  # it begins again
            if place == ended:
                since = -NEVER if begins_at is None else begins_at
                parts = job.end_recall(
                    dict.fromkeys(range(len(self.after.plan.conditions)), since), clock
                )
                ended_by = _read(self.after, parts)
                replayed.insert(carried + place + len(replayed) - len(steps), oracle.Tick(clock))
                assert {one.cause for one in ended_by} <= {"definition_changed", "window_expired"}
                self.found += ended_by
                started = max(started, clock)
                for event in recalled:
                    known_from.setdefault(event.record["userId"], clock)
                exact_from = _exact_from(self.after.plan, job.warming())
                if random.random() < self.way.restart:
                    job.restart(random)
                    assert _exact_from(self.after.plan, job.warming()) == exact_from
            if place < len(rest):
                step = rest[place]
                clock = max([clock, *_instants([step])])
                if isinstance(step, oracle.Pull):
                    started = max(started, clock if job.held() or not pulls else -NEVER)
                    pulls.append(step)
                if isinstance(step, oracle.Event):
                    user = step.record["userId"]
                    known_from[user] = min(clock, known_from.get(user, clock))
                self.found += _fed(self.after, job, [step], self.way, random)
        self.found += _read(self.after, job.advance(until + 1))
        if job.held():
            started = NEVER
        return Outcome(self.found, started, exact_from, known_from, replayed)

    def _inputs(self, events: list[oracle.Event]):
        return self.after.inputs(events)


def _pieces(events: Sequence[oracle.Event], random: Random) -> Iterator[list[oracle.Event]]:
    events = list(events)
    if random.random() < 0.5:
        random.shuffle(events)
    while events:
        size = random.randint(1, len(events))
        yield events[:size]
        del events[:size]


def _assert_right_from_the_start(after: Rig, outcome: Outcome, until: int) -> None:
    expected = _by_key(after.expected(outcome.replayed, until))
    found = _by_key(outcome.transitions)
    pulls = [step for step in outcome.replayed if isinstance(step, oracle.Pull)]
    for user in {user for user, _ in expected | found}:
        for audience, exact_from in outcome.exact_from.items():
            start = max(exact_from, outcome.started)
            if not all(user in pull.rows for pull in pulls):
                start = max(start, outcome.known_from.get(user, NEVER))
            key = (user, audience)
            if start <= until:
                mine = _memberships(found.get(key, []), start)
                assert mine == _memberships(expected.get(key, []), start), (key, start)


def _assert_kept_as_if_nothing_had_happened(
    before: Rig, after: Rig, change: Change, outcome: Outcome, until: int
) -> None:
    kept = _kept(before.plan, after.plan)
    audiences = {key: change.after[key] for key in kept}
    if audiences:
        expected = Rig(audiences).expected(outcome.replayed, until)
        assert expected == sorted(one for one in outcome.transitions if one.audience in kept)
