"""Recordings: found, opened whatever their form, read to the last line."""

import gzip
import io
import json

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.chunks import LONGEST_LINE, DeadLetter
from connectors.sources.cutting import LineCutter
from connectors.sources.errors import SourceError
from connectors.sources.recorded import find_files, read_file, read_files
from tests.sources.shop import adds_up, page, reader_of, rows_of

LINES = b"".join(json.dumps(page(f"u{n}")).encode() + b"\n" for n in range(5_000))


def users_in(path):
    reader = reader_of()
    batches = [reader.read(chunk, ArrivalPolicy.EVENT) for chunk in read_files(find_files([path]))]
    assert all(map(adds_up, batches))
    rows = [row for batch in batches for row in rows_of(batch)]
    return [row["user"] for row in rows], [one for batch in batches for one in batch.dead_letters]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.jsonl", LINES),
        ("no_last_newline.jsonl", LINES[:-1]),
        ("marked.jsonl", b"\xef\xbb\xbf" + LINES),
        ("windows.jsonl", LINES.replace(b"\n", b"\r\n")),
        ("packed.jsonl.gz", gzip.compress(LINES)),
        ("members.jsonl.gz", gzip.compress(LINES[:99_999]) + gzip.compress(LINES[99_999:])),
        ("packed.jsonl.zst", zstandard.compress(LINES)),
        ("frames.zst", zstandard.compress(LINES[:99_999]) + zstandard.compress(LINES[99_999:])),
        ("gzip_without_its_ending.jsonl", gzip.compress(LINES)),
    ],
)
def test_lines_are_read_whatever_they_are_packed_in(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    users, dead_letters = users_in(tmp_path / name)
    assert users == [f"u{n}" for n in range(5_000)]
    assert dead_letters == []


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_of_a_file_that_is_cut_off_the_rest_is_read_and_the_loss_is_told(tmp_path, pack):
    packed = pack(LINES)
    path = tmp_path / "cut.jsonl"
    path.write_bytes(packed[: len(packed) // 2])
    users, dead_letters = users_in(path)
    assert users == [f"u{n}" for n in range(len(users))]
    assert "damaged or cut off" in dead_letters[-1].reason


def test_parquet_is_read_by_row(tmp_path):
    rows = [page(f"u{n}", properties={"path": "/"}) for n in range(9_000)]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "events.parquet")
    users, dead_letters = users_in(tmp_path)
    assert users == [f"u{n}" for n in range(9_000)]
    assert dead_letters == []


def test_parquet_types_are_read_as_json_would_have_them(tmp_path):
    columns = {
        "type": ["page"] * 2,
        "userId": pa.array([7, 8], pa.int32()),
        "timestamp": pa.array([1_772_359_200_000_000_123] * 2, pa.timestamp("ns", "UTC")),
        "messageId": [b"a", None],
    }
    parquet.write_table(pa.table(columns), tmp_path / "typed.parquet")
    reader = reader_of()
    (chunk,) = read_files(find_files([tmp_path]))
    first, second = rows_of(reader.read(chunk, ArrivalPolicy.EVENT))
    assert (first["user"], first["timestamp"], first["id"]) == ("7", 1_772_359_200_000_000, "a")
    assert len(second["id"]) == 32


def test_damaged_parquet_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "events.parquet").write_bytes(b"PAR1nonsense")
    with pytest.raises(SourceError, match=r"events\.parquet"):
        list(read_files(find_files([tmp_path])))


def test_files_are_taken_in_the_order_of_their_names_each_once(tmp_path):
    for name in ("b.jsonl", "a/z.jsonl", "c.txt.gz", ".hidden/x.jsonl", "a/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    found = find_files([tmp_path, tmp_path / "b.jsonl", str(tmp_path / "*.jsonl")])
    assert [one.path.relative_to(tmp_path).as_posix() for one in found] == [
        "a/z.jsonl",
        "b.jsonl",
        "c.txt.gz",
    ]
    assert [one.number for one in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.jsonl", "no file"), ("*.x", "no file matches"), ("", "no recording")],
)
def test_a_path_that_stands_for_nothing_is_an_error(tmp_path, name, message):
    with pytest.raises(SourceError, match=message):
        find_files([tmp_path / name])


def test_the_sizes_of_chunks_add_up_to_the_file(tmp_path):
    for name, content in (("a.jsonl", LINES), ("b.gz", gzip.compress(LINES * 20))):
        (tmp_path / name).write_bytes(content)
    for file in find_files([tmp_path]):
        assert sum(chunk.size for chunk in read_file(file)) == file.size


@given(
    st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), max_size=20),
    st.booleans(),
    st.integers(1, 40),
)
def test_lines_do_not_depend_on_where_blocks_end(lines, ends, block):
    content = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    cutter = LineCutter("file", 0)
    stream = io.BytesIO(content)
    chunks = []
    while chunk := cutter.read(stream.readinto, block):
        chunks.append(chunk)
    if last := cutter.finish():
        chunks.append(last)
    found = [
        (int(number), chunk.line(place))
        for chunk in chunks
        for place in range(len(chunk.lines.starts))
        for number in chunk.line_numbers(chunk.lines.numbers[place : place + 1] * 0 + place)
    ]
    content = content.removeprefix(b"\xef\xbb\xbf")
    expected = [(n, line.strip(b" \r")) for n, line in enumerate(content.split(b"\n"), 1)]
    assert found == [(number, line) for number, line in expected if line]


@pytest.mark.parametrize("ending", [b"\n" + LINES[:1_000], b""])
def test_an_overlong_line_is_a_dead_letter_and_is_not_held(tmp_path, ending):
    path = tmp_path / "long.jsonl"
    first = json.dumps(page("u1")).encode() + b"\n"
    path.write_bytes(first + b'{"x":"' + b"y" * 3 * LONGEST_LINE + ending)
    largest = 0
    letters: list[DeadLetter] = []
    for chunk in read_files(find_files([path])):
        largest = max(largest, len(chunk.data))
        letters += chunk.dead_letters
    assert [(one.line, one.excerpt[:7]) for one in letters] == [(2, '{"x":"y')]
    assert largest < 2 * LONGEST_LINE


def test_a_long_line_within_the_limit_is_read(tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_bytes(json.dumps(page("u1", x="y" * (LONGEST_LINE - 500))).encode())
    assert users_in(path) == (["u1"], [])
