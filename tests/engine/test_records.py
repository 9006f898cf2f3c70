"""Records: as msgspec would write them one by one, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.digests import BLOCK, digest
from engine.plan import Audience, Condition, Performed, Plan
from engine.records import RecordWriter, transition_ids
from engine.texts import Texts
from engine.transitions import Cause, Transitions
from tests.engine.records import line_of, records_of

ROOT = Path(__file__).parents[2]
CONDITIONS = [Condition('seen "twice"', 60, 1), Condition("sold", 5, 2, 4)]


def plan(parent: str, *audiences: str) -> Plan:
    found = [Audience(key, f"v {key}", Performed(0)) for key in audiences]
    return Plan.build(parent, CONDITIONS, [], found)


PLANS = [plan("accounts", "paying"), plan('us"ers', "zoé", "a_rather_long_name_of_an_audience")]
AUDIENCES = sum(len(one.audiences) for one in PLANS)
WHOLE_CALENDAR = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999 + 86_400_000_000)

Row = tuple[str, int, int, int, Cause, int, str]

rows = st.tuples(
    st.one_of(st.text(), st.text(min_size=BLOCK, max_size=3 * BLOCK)),
    st.integers(0, AUDIENCES - 1),
    WHOLE_CALENDAR,
    st.integers(1, 2**31 - 1),
    st.sampled_from(Cause),
    st.integers(0, 2 * len(CONDITIONS) - 1),
    st.text(),
)


def transitions_of(found: list[Row]) -> Transitions:
    users, audiences, instants, sequences, causes, conditions, ids = map(
        list, zip(*found, strict=True) if found else [[]] * 7
    )
    by_window = np.array(causes, dtype=np.int8) == Cause.WINDOW_EXPIRED
    by_event = [cause == Cause.EVENT for cause in causes]
    return Transitions(
        Texts.of(users),
        np.array(audiences, dtype=np.int32),
        np.array(instants, dtype=np.int64),
        np.array(sequences, dtype=np.int32),
        np.array(causes, dtype=np.int8),
        np.where(by_window, np.array(conditions, dtype=np.int32), np.int32(-1)),
        Texts.of([id_ if event else "" for id_, event in zip(ids, by_event, strict=True)]),
    )


def tell() -> str:
    """A few records of each kind; run this module to read them from this interpreter."""
    found = [
        (f'u"\n\x01é{"x" * (40 * number)}', number % AUDIENCES, number * 10**15 - 10**16, number,
         Cause(number % len(Cause)), number % 4, f"m\\{number}")
        for number in range(1, 23)
    ]  # fmt: skip
    lines = RecordWriter(PLANS).lines(transitions_of(found))
    return "".join(lines.tolist())


@given(st.lists(rows, max_size=5))
def test_lines_are_those_that_msgspec_writes(found: list[Row]) -> None:
    transitions = transitions_of(found)
    lines = RecordWriter(PLANS).lines(transitions)
    expected = records_of(PLANS, transitions)
    assert lines.tolist() == [line_of(one) for one in expected]
    ids = RecordWriter(PLANS).ids(transitions)
    assert [row.tobytes().decode() for row in ids] == [one.id for one in expected]


@given(st.lists(rows, min_size=2, max_size=6))
def test_lines_of_some_rows_are_the_same_lines(found: list[Row]) -> None:
    transitions = transitions_of(found)
    lines = RecordWriter(PLANS).lines(transitions).tolist()
    assert RecordWriter(PLANS).lines(transitions.between(1, len(found))).tolist() == lines[1:]


def test_a_line_has_the_keys_of_the_contract_in_order() -> None:
    found = transitions_of([("u1", 0, 1_772_359_200_000_001, 1, Cause.EVENT, 0, "m1")])
    (line,) = RecordWriter(PLANS).lines(found).tolist()
    record = json.loads(line)
    assert line == json.dumps(record, separators=(",", ":")) + "\n"
    assert record == {
        "id": transition_ids("accounts", "paying")("u1", 1, 1_772_359_200_000_001),
        "type": "entered",
        "audience": "paying",
        "audience_version": PLANS[0].audiences[0].version,
        "parent_model": "accounts",
        "user_id": "u1",
        "effective_at": "2026-03-01T10:00:00.000001Z",
        "sequence": 1,
        "cause": {"kind": "event", "message_id": "m1"},
    }
    assert list(record) == [
        "id", "type", "audience", "audience_version", "parent_model", "user_id", "effective_at",
        "sequence", "cause",
    ]  # fmt: skip


def test_ids_stay_what_they_are() -> None:
    # Receivers remember them: they must be the same in every release.
    assert transition_ids("users", "keen")("u1", 3, 1_772_359_200_000_000) == (
        blake2b(b"5:users4:keen3:1772359200000000:u1", digest_size=16).hexdigest()
    )


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 255, 256, 257, 1000])
def test_digests_are_those_of_the_standard_library(length: int) -> None:
    text = bytes((7 * place) & 255 for place in range(length))
    words = np.zeros((length // BLOCK + 1) * BLOCK // 8, dtype=np.uint64)
    words.view(np.uint8)[:length] = np.frombuffer(text, dtype=np.uint8)
    chain = np.empty(8, dtype=np.uint64)
    with np.errstate(over="ignore"):
        digest(words, length, chain)
    assert chain[:2].tobytes() == blake2b(text, digest_size=16).digest()


def test_interpreted_equals_compiled() -> None:
    interpreted = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.engine.test_records"],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert interpreted.stderr == ""
    assert interpreted.stdout == tell()


if __name__ == "__main__":
    print(tell(), end="")
