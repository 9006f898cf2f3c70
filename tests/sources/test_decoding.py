"""Raw lines to inputs: what is read, what is a dead letter, and that nothing disappears."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import Chunk
from connectors.sources.decoding import Decoder, read_object
from connectors.sources.paths import parse_path, pluck
from connectors.sources.shape import Shape
from tests.sources.shop import adds_up, chunk_of, order, page, read, reader_of, rows_of

ORDERS = {
    "dear": {"performed": "order", "where": {"total": {"greater_than": 100}}, "within": "1h"},
    "any": {"performed": "order", "within": "1h"},
}


def test_a_record_becomes_an_input():
    batch = read(reader_of(), page("u1"))
    assert rows_of(batch) == [
        {
            "user": "u1",
            "timestamp": 1_772_359_200_000_000,
            "arrival": 1_772_359_200_000_000,
            "id": "m1",
            "conditions": (0,),
            "tallied": True,
        }
    ]
    assert (batch.received, batch.ignored, batch.dead_letters) == (1, 0, [])


@pytest.mark.parametrize(
    ("user", "read_as"),
    [(12345, "12345"), (" u1\t", "u1"), ("żółć", "żółć"), ("\u3000u1\u00a0", "u1"), ("ü", "ü")],
)
def test_user_ids_are_trimmed_texts(user, read_as):
    assert rows_of(read(reader_of(), page(user)))[0]["user"] == read_as


@pytest.mark.parametrize("user", [None, "", "  ", "\u00a0", True, 1.5, [], {}])
def test_a_record_without_a_user_is_a_dead_letter(user):
    batch = read(reader_of(), page("u0"), page(user), page("u2"))
    assert [row["user"] for row in rows_of(batch)] == ["u0", "u2"]
    (letter,) = batch.dead_letters
    assert (letter.file, letter.line, letter.reason) == ("events.jsonl", 2, "missing user (userId)")
    assert adds_up(batch)


@pytest.mark.parametrize("at", [None, "", "yesterday", "2026-02-30T00:00:00Z", True, [], 1e300])
def test_a_record_without_a_timestamp_is_a_dead_letter(at):
    batch = read(reader_of(), page(at=at))
    assert [one.reason for one in batch.dead_letters] == [
        "missing or unreadable timestamp (timestamp)"
    ]
    assert adds_up(batch)


def test_records_that_nobody_asks_for_are_ignored_whatever_they_lack():
    batch = read(
        reader_of(), {"type": "identify"}, {"type": "track", "event": "x"}, {}, {"type": ["page"]}
    )
    assert (batch.received, batch.ignored, batch.dead_letters, batch.inputs) == (4, 4, [], {})


def test_a_record_without_a_message_id_is_known_by_its_content():
    without = {key: value for key, value in page().items() if key != "messageId"}
    rows = rows_of(
        read(reader_of(), without, without, {**without, "a": 1}, {**without, "messageId": 7})
    )
    first, again, other, numbered = (row["id"] for row in rows)
    assert first == again != other
    assert len(first) == 32
    assert numbered == "7"


def test_half_a_character_does_not_lose_the_event():
    line = b'{"type":"page","userId":"u\\ud83d","timestamp":"2026-03-01T10:00:00Z","messageId":"m"}'
    assert rows_of(read(reader_of(), line))[0]["user"] == "u\ufffd"


@pytest.mark.parametrize(
    "text", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"null"]
)
def test_a_number_that_is_none_is_missing(text):
    line = json.dumps(order(total="?")).encode().replace(b'"?"', text)
    (row,) = rows_of(read(reader_of(ORDERS), line))
    assert len(row["conditions"]) == 1


@pytest.mark.parametrize(
    "properties",
    [b"null", b"[]", b'"text"', b"5", b'{"products":{}}', b'{"products":[5]}', b'{"products":[]}'],
)
def test_a_container_of_another_kind_is_missing_not_broken(properties):
    line = json.dumps(order()).encode().replace(b"{}", properties)
    audiences = {"sku": {"performed": "order", "where": {"sku": "A"}, "within": "1h"}} | ORDERS
    (row,) = rows_of(read(reader_of(audiences), line))
    assert len(row["conditions"]) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"type":"page"', "not JSON"),
        (b'{"type":"page"}}', "not JSON"),
        (b'{"a":1}{"b":2}', "not JSON"),
        (b"nonsense", "not JSON"),
        (b"\x00\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 2_000 + b"]" * 2_000 + b"}", "nested too deeply"),
    ],
)
def test_a_broken_line_is_a_dead_letter_and_its_neighbours_are_read(line, reason):
    batch = read(reader_of(), page("u1"), line, page("u3"))
    assert [row["user"] for row in rows_of(batch)] == ["u1", "u3"]
    (letter,) = batch.dead_letters
    assert letter.line == 2
    assert letter.reason.startswith(reason)
    assert len(letter.excerpt) <= 200
    assert adds_up(batch)


def test_a_deep_field_that_nobody_needs_costs_nothing():
    line = json.dumps(page()).encode()[:-1] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}"
    assert len(rows_of(read(reader_of(), line))) == 1


def test_lines_that_only_add_up_together_are_told_apart():
    # As many values as lines, but not a value a line.
    first, second = json.dumps(page("u1")).encode(), json.dumps(page("u2")).encode()
    half = len(first) // 2
    batch = read(reader_of(), first[:30], first[30:], second + second)
    assert half
    assert not batch.inputs
    assert [one.line for one in batch.dead_letters] == [1, 2, 3]


def test_blank_lines_and_line_ends_of_windows_are_no_records():
    line = json.dumps(page()).encode()
    batch = read(reader_of(), b"", line + b"\r", b"  ", b"\r", b" " + line, b"{")
    assert len(rows_of(batch)) == 2
    assert batch.received == 3
    assert [one.line for one in batch.dead_letters] == [6]


def test_rows_that_were_never_lines_are_read_alike():
    chunk = Chunk("events.parquet", 3, 11, rows=[page("u1"), {"type": "page"}, page("u3")])
    batch = reader_of().read(chunk, ArrivalPolicy.EVENT)
    assert [row["user"] for row in rows_of(batch)] == ["u1", "u3"]
    assert [one.line for one in batch.dead_letters] == [12]
    assert adds_up(batch)


_PATHS = ["a", "a.b", "c.d.e", "c.f[0].g", "h[0]", "h[1].x", "i[0][1]", "j.k", "j[0]"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*"abcdefghijkx", "d.e", "f[0].g", "b"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
_records = st.dictionaries(st.sampled_from([*"abchij", "a.b", "c.d.e", "c.d", "h[0]"]), _json)


@given(
    st.lists(st.sampled_from(_PATHS), min_size=1, unique=True),
    st.lists(_records, min_size=1, max_size=4),
)
def test_the_fast_decoding_finds_what_the_path_says(texts, records):
    paths = [parse_path(text) for text in texts]
    shape = Shape(paths)
    decoder = Decoder(shape, read_object, lambda row: row)
    decoded = decoder.decode(chunk_of(*records))
    assert decoded.dead_letters == []
    for path in paths:
        column = decoded.records.column(path)
        found = [column.value(i) for i in range(column.size)]
        assert repr(found) == repr([pluck(record, path) for record in records])


_lines = st.one_of(
    st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"")),
    st.sampled_from([page("u1"), page(None), order(total=1), {"type": "x"}]).map(
        lambda record: json.dumps(record).encode()
    ),
    st.tuples(st.just(json.dumps(page()).encode()), st.integers(0, 120), st.binary(max_size=2)).map(
        lambda cut: (cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + 1 :]).replace(b"\n", b"")
    ),
)


@given(st.lists(_lines, max_size=12))
def test_whatever_comes_nothing_disappears(lines):
    reader = reader_of({**ORDERS, "pages": {"performed": "page_viewed", "within": "1h"}})
    batch = read(reader, *lines)
    assert batch.received == sum(bool(line.strip(b" \r")) for line in lines)
    assert adds_up(batch)
