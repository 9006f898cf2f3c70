"""The scanner against the standard library's decoder: it may refuse, but never be mistaken."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.sources.decoding import Records
from connectors.sources.paths import parse_path, pluck
from connectors.sources.scanning import DEPTH, scan
from connectors.sources.shape import Shape

PATHS = [
    parse_path(text) for text in ("a", "b.c", "b.d.e", "b.d", "f[0].g", "f[2]", "f.a", "ü", "b.h")
]
SHAPE = Shape(PATHS)


def scanned(*lines: bytes) -> tuple[Records, list[bool]]:
    data = np.frombuffer(bytearray(b"".join(line + b"\n" for line in lines)), dtype=np.uint8)
    ends = np.cumsum([len(line) + 1 for line in lines]) - 1
    starts = ends - [len(line) for line in lines]
    records = Records(SHAPE, len(lines))
    records.data = data
    taken = np.zeros(len(lines), dtype=np.bool_)
    scan(
        data, starts, ends, SHAPE.places, records.kinds, records.begins, records.ends, taken
    )  # fmt: skip
    return records, taken.tolist()


def values(records: Records, row: int) -> list[object]:
    return [records.column(path).value(row) for path in PATHS]


def taken(line: str | bytes) -> bool:
    (one,) = scanned(line if isinstance(line, bytes) else line.encode())[1]
    return one


_texts = st.text(max_size=6)
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*"abcdefgh", "ü", 'q"'] ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
_objects = st.dictionaries(st.sampled_from([*"abfx", "ü"]), _values, max_size=5)


@given(st.lists(_objects, min_size=1, max_size=4), st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_it_finds_what_is_there_however_it_is_written(objects, ascii_only, indent):
    lines = [
        json.dumps(one, ensure_ascii=ascii_only, indent=indent).replace("\n", " \r").encode()
        for one in objects
    ]
    records, all_taken = scanned(*lines)
    for row, one in enumerate(objects):
        if all_taken[row]:
            assert repr(values(records, row)) == repr([pluck(one, path) for path in PATHS])
        else:  # only a key with an escape, beside a wanted place, makes it refuse sound JSON
            assert b"\\" in lines[row]


_DAMAGES = [b"", *(bytes([one]) for one in b'"{}[],:\\0-e. \x01\xc3\xff'), b"null"]


@given(_objects, st.data())
def test_a_damaged_line_is_refused_or_read_as_the_library_reads_it(record, data):
    line = bytearray(json.dumps(record).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(line)))
        some = data.draw(st.sampled_from(_DAMAGES))
        line[place : place + data.draw(st.integers(0, 2))] = some
    records, (is_taken,) = scanned(bytes(line))
    if is_taken:
        sound = json.loads(bytes(line).decode("utf-8", "replace"))
        assert repr(values(records, 0)) == repr([pluck(sound, path) for path in PATHS])


@given(st.binary(max_size=30).map(lambda raw: b'{"a":' + raw.replace(b"\n", b"") + b"}"))
@example(b'{"a":01}')
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"a":"\xf5\x80\x80\x80"}')
@example(b'{"a":"\xc0\xaf"}')
@example(b'{"a":1}x')
@example(b'{"a":+1}')
@example(b'{"a":1.}')
@example(b'{"a":.5}')
@example(b'{"a":1e}')
@example(b'{"a":nul}')
@example(b'{"a":"\\x"}')
@example(b'{"a":"\\u12g4"}')
@example(b'{"a":1,}')
@example(b'{"a":[1,]}')
@example(b'{"a":{,}}')
@example(b'{"a" 1}')
@example(b"{a:1}")
@example(b'{"a":1]')
@example(b'{"a":[1}}')
def test_what_is_no_json_is_refused(line):
    try:
        json.loads(line)
    except ValueError:
        assert not taken(line)


@pytest.mark.parametrize(
    "line",
    [
        '{"a":1,"b":{"c":2},"b":{"d":3}}',  # the later container would win
        '{"b":{"c":2},"b":null}',
        '{"b":[],"b":{"c":2}}',
        '{"\\u0061":1}',  # spells a wanted key
        '{"b.c":1}',  # wins over the nested one
        '{"b":{"d.e":1}}',
        '{"x":' * (DEPTH + 1) + "1" + "}" * (DEPTH + 1),
        "[]",
        "",
        "5",
    ],
)
def test_what_needs_a_second_look_is_refused(line):
    assert not taken(line)


def test_of_a_key_that_comes_twice_the_later_counts():
    records, _ = scanned(b'{"a":1,"a":"x"}', b'{"a":"x","a":null}', b'{"f":[{"g":1,"g":2}]}')
    assert [records.column(PATHS[0]).value(row) for row in range(2)] == ["x", None]
    assert records.column(PATHS[4]).value(2) == 2


def test_values_are_found_in_their_own_line_only():
    records, all_taken = scanned(b'{"a":1}', b"{}", b'{"a":', b'{"b":{"c":[1,{"x":"}"}]}}')
    assert all_taken == [True, True, False, True]
    assert records.column(PATHS[0]).value(0) == 1
    assert records.column(PATHS[0]).value(1) is None
    assert records.column(PATHS[1]).value(3) == [1, {"x": "}"}]
