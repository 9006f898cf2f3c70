"""Definitions that change in the middle of a history, against the oracle.

Some audiences stay as they are, some are edited, some come and some go.  Between the two plans the
state is bytes; what is restored may have to wait, through events and restarts, for the new
definitions to take force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.plan import MemberOf, Performed, Plan, leaves
from tests import oracle
from tests.harness import Job, Rig, Way, batches
from tests.properties.definitions import KINDS
from tests.properties.histories import History, decode

Audiences = dict[str, Any]
Key = tuple[str, str]  # user and audience

WAYS = (Way(), Way(cut=0.4), Way(cut=1.0, restart=0.3), Way(cut=0.5, restart=0.2, split=True))


class Change(NamedTuple):
    """Under which definitions a history begins and ends."""

    before: Audiences
    after: Audiences


def _changed(pair: tuple[Audiences, Audiences], choices: Sequence[int]) -> Change:
    """Each audience of the second definition replaces one, joins them, or takes no part."""
    before, others = dict(pair[0]), pair[1]
    after = dict(before)
    for (key, audience), choice in zip(others.items(), choices, strict=False):
        match choice:
            case 0:
                after[key] = audience
            case 1:
                after["b" + key[1:]] = audience  # its references are to the audiences of before
            case 2 if not _is_named(key, after):
                del after[key]
            case 3:
                before["0" + key] = audience
            case _:
                pass
    return Change(before, after)


def _is_named(key: str, audiences: Audiences) -> bool:
    return any(f"'{key}'" in str(one["where"]) for one in audiences.values())


CHANGES = {
    kind: st.builds(
        _changed,
        st.tuples(audiences, audiences),
        st.lists(st.integers(0, 4), min_size=3, max_size=3),
    )
    for kind, audiences in KINDS.items()
    if kind
    in ("at_least", "between", "did_not_perform", "property", "in_audience", "nested", "seen")
}
HISTORIES = st.tuples(*(st.binary(min_size=60, max_size=150) for _ in WAYS))


class Outcome(NamedTuple):
    transitions: list[oracle.Transition]
    changed_at: int  # when the new definitions took force
    exact_from: Mapping[str, int]  # of each audience
    kept: set[str]
    events_since: Mapping[str, int]  # user -> clock at which the first event came under them
    replayed: list[oracle.Step]  # the history with the change as the pull that it came with


@pytest.mark.parametrize("kind", CHANGES)
@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
def test_a_change_in_the_middle_of_a_history(kind: str, data: st.DataObject) -> None:
    change = data.draw(CHANGES[kind], label="definitions")
    try:
        before, after = Rig(change.before), Rig(change.after)
    except AssertionError:  # audiences that refer to each other in a circle
        assume(False)
    seed = data.draw(st.integers(0, 1 << 16), label="seed of cuts, restarts and the change")
    for way, encoded in zip(WAYS, data.draw(HISTORIES, label="histories"), strict=True):
        history = decode(encoded)
        outcome = _run(before, after, history, way, Random(seed))
        _assert_alternating(outcome.transitions)
        _assert_kept_as_if_nothing_had_happened(change, outcome, history.until)
        _assert_right_once_warm(after, outcome, history.until)


def _run(before: Rig, after: Rig, history: History, way: Way, random: Random) -> Outcome:
    steps = history.steps
    carried = random.randrange(len(steps) + 1)
    in_force = next(
        (place for place in range(carried, len(steps)) if random.random() < 0.5), len(steps)
    )
    job = Job(before.plan, before.groups(steps) if way.split else [None])
    found = _fed(before, job, steps[:carried], way, random)
    pulls = [step for step in steps[:carried] if isinstance(step, oracle.Pull)]
    if pulls:  # what the state of the last snapshot is under other definitions
        job.snapshot = after.snapshot(pulls[-1].rows, pulls[-1].at)
    job.carry_over(after.plan)
    kept = _kept(before.plan, after.plan)
    assert job.held() == ({one.key for one in after.plan.audiences} - kept if pulls else set())
    replayed = list(steps)
    waited_for = steps[carried:in_force]
    changed_at = -(1 << 62)
    if pulls and not any(isinstance(step, oracle.Pull) for step in waited_for):
        meanwhile = _fed(after, job, waited_for, way, random)
        assert {one.audience for one in meanwhile} <= kept
        found += meanwhile
        changed_at = max(_instants(steps[:in_force]))
        parts = job.take_force(after.snapshot(pulls[-1].rows, pulls[-1].at), changed_at)
        found += _read(after, parts)
        assert {one.cause for one in _read(after, parts)} <= {
            "definition_changed",
            "window_expired",
        }
        replayed.insert(in_force, oracle.Pull(changed_at, pulls[-1].rows))
        rest = steps[in_force:]
    else:  # the next snapshot brings them into force
        rest = steps[carried:]
        later = [step.at for step in rest if isinstance(step, oracle.Pull)]
        changed_at = later[0] if later else 1 << 62
        changed_at = max(changed_at, *_instants(steps)) if later else changed_at
    warming = job.warming()
    found += _fed(after, job, rest, way, random)
    found += _read(after, job.advance(history.until + 1))
    since = steps[carried:]
    events: dict[str, int] = {}
    clock = max(_instants(steps[:carried]), default=0)
    for step in since:
        clock = max([clock, *_instants([step])])
        if isinstance(step, oracle.Event):
            events.setdefault(step.record["userId"], clock)
    return Outcome(found, changed_at, _exact_from(after.plan, warming), kept, events, replayed)


def _kept(before: Plan, after: Plan) -> set[str]:
    """The audiences that mean what they meant."""
    versions = {audience.key: audience.version for audience in before.audiences}
    return {one.key for one in after.audiences if versions.get(one.key) == one.version}


def _instants(steps: Iterable[oracle.Step]) -> list[int]:
    return [step.arrival if isinstance(step, oracle.Event) else step.at for step in steps]


def _fed(
    rig: Rig, job: Job, steps: Sequence[oracle.Step], way: Way, random: Random
) -> list[oracle.Transition]:
    parts = []
    for batch in batches(steps, way.cut, random):
        match batch:
            case oracle.Tick(at):
                parts += job.advance(at)
            case oracle.Pull(at, rows):
                parts += job.take_force(rig.snapshot(rows, at), at)
            case _:
                parts += job.apply(rig.inputs(batch))
        if random.random() < way.restart:
            job.restart(random)
    return _read(rig, parts)


def _read(rig: Rig, parts: Iterable[Any]) -> list[oracle.Transition]:
    return [one for part in parts for one in rig.transitions(part)]


def _exact_from(plan: Plan, warming: Mapping[str, int]) -> dict[str, int]:
    """From when on each audience's conditions, and those of the audiences it names, are exact."""
    exact: dict[str, int] = {}
    for audience in plan.audiences:
        instants = [0]
        for leaf in leaves(audience.tree):
            match leaf:
                case Performed(number):
                    instants.append(warming.get(plan.conditions[number].key, 0))
                case MemberOf(key):
                    instants.append(exact[key])
                case _:
                    pass
        exact[audience.key] = max(instants)
    return exact


def _by_key(transitions: Iterable[oracle.Transition]) -> dict[Key, list[oracle.Transition]]:
    found: dict[Key, list[oracle.Transition]] = {}
    for one in transitions:
        found.setdefault((one.user_id, one.audience), []).append(one)
    return found


def _assert_alternating(transitions: list[oracle.Transition]) -> None:
    for ones in _by_key(transitions).values():
        assert [one.sequence for one in ones] == list(range(1, len(ones) + 1))
        assert [one.effective_at for one in ones] == sorted(one.effective_at for one in ones)


def _assert_kept_as_if_nothing_had_happened(change: Change, outcome: Outcome, until: int) -> None:
    audiences = {key: change.after[key] for key in outcome.kept}
    if audiences:
        expected = Rig(audiences).expected(outcome.replayed, until)
        assert expected == sorted(
            one for one in outcome.transitions if one.audience in outcome.kept
        )


def _assert_right_once_warm(after: Rig, outcome: Outcome, until: int) -> None:
    expected = _by_key(after.expected(outcome.replayed, until))
    found = _by_key(outcome.transitions)
    pulls = [step for step in outcome.replayed if isinstance(step, oracle.Pull)]
    for user in {user for user, _ in expected | found}:
        for audience in outcome.exact_from:
            start = max(outcome.exact_from[audience], outcome.changed_at)
            if not all(user in pull.rows for pull in pulls):
                # A stranger is known from the first event on that came after the change.
                start = max(start, outcome.events_since.get(user, 1 << 62))
            key = (user, audience)
            if start <= until:
                mine = _memberships(found.get(key, []), start)
                assert mine == _memberships(expected.get(key, []), start), (key, start)


def _memberships(transitions: list[oracle.Transition], start: int) -> list[tuple[int, str]]:
    """Whether a member at `start`, and every change after it."""
    at_start = "exited"
    later: list[tuple[int, str]] = []
    for one in transitions:
        if one.effective_at <= start:
            at_start = one.type
        else:
            later.append((one.effective_at, one.type))
    return [(start, at_start), *later]
