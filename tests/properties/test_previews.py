"""Previews agree with the oracle: each audience, each part of a tree, each overlap and sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dataflows.preview import Preview, Request, Size, run_preview
from dataflows.sampling import Sample
from engine.hashing import stable_hashes
from engine.texts import Texts
from tests import oracle
from tests.harness import Rig
from tests.properties.definitions import Tree
from tests.properties.histories import decode_recordings
from tests.properties.recorded import (
    AUDIENCES,
    POLICIES,
    begins_before,
    history_of,
    recordings_in,
    written,
)


@pytest.mark.parametrize("clock", POLICIES)
@settings(max_examples=settings().max_examples // 6)
@given(AUDIENCES, st.binary(min_size=60, max_size=160), st.sampled_from([1.0, 1.0, 0.5]))
def test_against_oracle(
    clock: str, audiences: dict[str, Any], encoded: bytes, share: float
) -> None:
    recordings = decode_recordings(encoded)
    rig = Rig(audiences)
    history, at = history_of(rig, recordings, clock)
    assume(begins_before(history, at))
    is_seen = audiences["a0"].get("members") == "seen"
    parts = [] if is_seen else list(_parts(_plain(audiences["a0"]["where"])))
    defined = {
        **rig.definition,
        "audiences": {
            **audiences,
            **{
                f"p{n}": {"parent_model": "users", "where": _yaml(one)}
                for n, one in enumerate(parts)
            },
        },
    }
    members = _members(oracle.transitions(defined, history, at), Sample(share))

    with TemporaryDirectory() as folder:
        loaded = written(Path(folder), audiences, recordings)
        files = recordings_in(loaded)
        request = Request(
            "a0", 0, at, files, policy=POLICIES[clock], sample=Sample(share), members=100
        )
        found = run_preview(loaded, request)
    assert _counted(found.size, share) == len(members.get("a0", ()))
    if not is_seen:
        sizes = [_counted(size, share) for _, size in found.parts]
        assert sizes == [len(members.get(f"p{n}", ())) for n in range(len(parts))]
    assert {one.user_id for one in found.members} == members.get("a0", set())
    _check_properties(found, recordings.rows)
    for one in found.overlaps:
        others = members.get(one.audience, set())
        assert _counted(one.size, share) == len(others)
        assert _counted(one.both, share) == len(others & members.get("a0", set()))
    assert [one.audience for one in found.overlaps] == sorted(audiences.keys() - {"a0"})


def _members(transitions: list[oracle.Transition], sample: Sample) -> dict[str, set[str]]:
    """Who of the sample is in each audience at the end."""
    last = {(one.audience, one.user_id): one.sequence for one in transitions}
    members: dict[str, set[str]] = {}
    for (audience, user), sequence in last.items():
        if sequence % 2 and sample.keeps(stable_hashes(Texts.of([user])))[0]:
            members.setdefault(audience, set()).add(user)
    return members


def _counted(size: Size, share: float) -> int:
    """What was counted in the sample."""
    assert size.is_complete
    assert size.estimate.least <= size.estimate.count <= size.estimate.most
    return round(size.estimate.count * share)


def _check_properties(found: Preview, rows: dict[str, dict[str, Any]]) -> None:
    for one in found.members:
        row = rows.get(one.user_id)
        assert (row is not None) or one.properties == {}
        for name, value in one.properties.items():
            assert row is not None
            assert value == row.get(name)


# The tree as the language reads it: `any` of one is that one, `none` is `not` of `any`.


def _plain(tree: Tree) -> Any:
    match tree:
        case {"all": of}:
            return ("all", [_plain(one) for one in of])
        case {"any": of}:
            return ("any", [_plain(one) for one in of]) if len(of) > 1 else _plain(of[0])
        case {"none": of}:
            return ("not", _plain({"any": of}))
        case {"not": of}:
            return ("not", _plain(of))
        case {"not_in_audience": key}:
            return ("not", ("leaf", {"in_audience": key}))
    return ("leaf", tree)


def _parts(tree: Any) -> Iterator[Any]:
    yield tree
    match tree:
        case ("not", ("leaf", {"in_audience": _})):
            pass
        case ("all" | "any", of) | ("not", ("any", of)):
            for one in of:
                yield from _parts(one)
        case ("not", of):
            yield from _parts(of)


def _yaml(tree: Any) -> Tree:
    match tree:
        case ("leaf", leaf):
            return leaf  # type: ignore[no-any-return]
        case ("not", of):
            return {"not": _yaml(of)}
        case (name, of):
            return {name: [_yaml(one) for one in of]}
    raise AssertionError(tree)
