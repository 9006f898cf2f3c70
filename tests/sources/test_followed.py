"""Followed files and standard input: what is added is read once, whatever happens to the files."""

import gzip
import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from connectors.sources import followed as followed_files
from connectors.sources import tails
from connectors.sources.errors import SourceError
from connectors.sources.followed import FollowedFiles, FollowedInput
from tests.sources.shop import page


def line(user):
    return json.dumps(page(user)).encode() + b"\n"


def append(path, content):
    with path.open("ab") as file:
        file.write(content)


def users(chunks):
    return [
        json.loads(chunk.line(place))["userId"]
        for chunk in chunks
        for place in range(len(chunk.lines.starts))
    ]


def test_a_file_that_grows(tmp_path):
    path = tmp_path / "events.jsonl"
    followed = FollowedFiles([path])
    assert followed.poll() == []
    assert followed.caught_up
    append(path, line("u1") + line("u2")[:20])
    assert users(followed.poll()) == ["u1"]
    assert followed.poll() == []
    append(path, line("u2")[20:] + line("u3"))
    (chunk,) = followed.poll()
    assert users([chunk]) == ["u2", "u3"]
    assert chunk.first_line == 2


def test_a_poll_takes_no_more_than_its_limit(tmp_path):
    path = tmp_path / "events.jsonl"
    append(path, b"".join(line(f"u{n}") for n in range(60_000)))
    followed = FollowedFiles([path])
    found = users(followed.poll(1))
    assert 0 < len(found) < 60_000
    while chunks := followed.poll(1):
        found += users(chunks)
    assert found == [f"u{n}" for n in range(60_000)]


def test_what_rotation_takes_away_is_read_to_its_end_however_long_that_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(followed_files, "_LINGER", 5)
    monkeypatch.setattr(tails, "BLOCK", 200)
    paths = [tmp_path / f"{number}.jsonl" for number in range(2)]
    for number, path in enumerate(paths):
        append(path, b"".join(line(f"u{number}-{n}") for n in range(300)))
    followed = FollowedFiles(paths)
    found = users(followed.poll())  # both have been opened
    for number, path in enumerate(paths):
        append(path, b"".join(line(f"v{number}-{n}") for n in range(300)))
    found += users(followed.poll(1))
    for number, path in enumerate(paths):
        path.rename(path.with_suffix(".old"))
        append(path, line(f"w{number}"))
    while not followed.caught_up:
        found += users(followed.poll(1))
    told = {f"{kind}{number}-{n}" for kind in "uv" for number in range(2) for n in range(300)}
    assert sorted(found) == sorted([*told, "w0", "w1"])
    for _ in range(20):
        assert followed.poll() == []
    assert len(followed._tails) == 2  # those that have the names now


def test_a_name_that_another_file_has_taken_is_not_read_twice(tmp_path):
    path = tmp_path / "events.jsonl"
    append(path, line("u1"))
    followed = FollowedFiles([path])
    assert users(followed.poll()) == ["u1"]
    followed.close()  # as where many files are followed
    append(path, line("u2"))
    path.rename(tmp_path / "events.old")
    append(path, line("u3") + line("u4"))
    found = [user for _ in range(5) for user in users(followed.poll())]
    assert found == ["u3", "u4"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_file_that_is_written_anew_with_as_many_bytes(tmp_path, name, restarts):
    path = tmp_path / name

    def write(*these):
        content = b"".join(map(line, these))
        path.write_bytes(gzip.compress(content, 0, mtime=0) if name.endswith("gz") else content)

    write("u1", "u2")
    followed = FollowedFiles([path])
    assert users(followed.poll()) == ["u1", "u2"]
    for these in (["u3", "u4"], ["u5", "u6"]):
        time.sleep(0.02)
        write(*these)
        if restarts:
            followed = FollowedFiles([path], followed.position())
        found = [user for _ in range(5) for user in users(followed.poll())]
        assert found == these
        os.utime(path)
        assert followed.poll() == []


def test_new_files_in_a_folder_are_picked_up(tmp_path):
    followed = FollowedFiles([tmp_path])
    append(tmp_path / "a.jsonl", line("a1"))
    assert users(followed.poll()) == ["a1"]
    append(tmp_path / "b.jsonl", line("b1"))
    append(tmp_path / "a.jsonl", line("a2"))
    assert users(followed.poll()) == ["a2", "b1"]


def test_rotation_by_renaming_loses_nothing(tmp_path):
    path = tmp_path / "events.jsonl"
    append(path, line("u1"))
    followed = FollowedFiles([path])
    assert users(followed.poll()) == ["u1"]
    path.rename(tmp_path / "events.jsonl.1")
    append(tmp_path / "events.jsonl.1", line("u2"))  # the writer has it open still
    append(path, line("u3"))
    assert sorted(users(followed.poll())) == ["u2", "u3"]


def test_a_file_renamed_within_the_folder_is_not_read_again(tmp_path):
    append(tmp_path / "current.jsonl", line("u1"))
    followed = FollowedFiles([tmp_path])
    assert users(followed.poll()) == ["u1"]
    (tmp_path / "current.jsonl").rename(tmp_path / "old.jsonl")
    append(tmp_path / "current.jsonl", line("u2"))
    assert users(followed.poll()) == ["u2"]


@pytest.mark.parametrize("later", [1, 50])
def test_a_file_that_is_written_anew_is_read_from_its_start(tmp_path, later):
    path = tmp_path / "events.jsonl"
    append(path, b"".join(line(f"u{n}") for n in range(10)))
    followed = FollowedFiles([path])
    followed.poll()
    with path.open("r+b") as file:  # as `copytruncate` does
        file.truncate(0)
    append(path, b"".join(line(f"v{n}") for n in range(later)))
    found = followed.poll()
    assert users(found) == [f"v{n}" for n in range(later)]
    assert found[0].first_line == 1


def test_reading_goes_on_where_the_position_says(tmp_path):
    path = tmp_path / "events.jsonl"
    append(path, line("u1") + line("u2")[:30])
    followed = FollowedFiles([path])
    followed.poll()
    position = followed.position()
    append(path, line("u2")[30:])
    assert users(followed.poll()) == ["u2"]
    path.rename(tmp_path / "rotated.jsonl")
    append(path, line("u3"))
    resumed = FollowedFiles([tmp_path], position)
    found = resumed.poll()
    assert sorted(users(found)) == ["u2", "u3"]
    assert sorted(chunk.first_line for chunk in found) == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_stops_at_any_point_lose_and_repeat_nothing(tmp_path, seed):
    chance = random.Random(seed)
    names = ["a.jsonl", "b.jsonl"]
    written = {name: b"".join(line(f"{name}{n}") for n in range(40)) for name in names}
    sent = dict.fromkeys(names, 0)
    position = None
    found = []
    followed = FollowedFiles([tmp_path])
    while any(sent[name] < len(written[name]) for name in names):
        name = chance.choice(names)
        size = chance.randrange(300)
        append(tmp_path / name, written[name][sent[name] : sent[name] + size])
        sent[name] += size
        if chance.random() < 0.5:
            found += users(followed.poll(chance.choice([1, 10_000])))
            position = followed.position()
        if chance.random() < 0.3:
            followed = FollowedFiles([tmp_path], position)
    while chunks := followed.poll():
        found += users(chunks)
    assert sorted(found) == sorted(f"{name}{n}" for name in names for n in range(40))


def test_compressed_files_are_read_when_they_appear(tmp_path):
    followed = FollowedFiles([str(tmp_path / "*.jsonl.gz")])
    content = b"".join(line(f"u{n}") for n in range(30_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(content))
    first = followed.poll(1)
    position = followed.position()
    rest = FollowedFiles([str(tmp_path / "*.jsonl.gz")], position).poll(1 << 30)
    assert users(first) + users(rest) == [f"u{n}" for n in range(30_000)]
    assert rest[0].first_line == len(users(first)) + 1


def test_a_compressed_file_that_is_still_being_written(tmp_path):
    packed = gzip.compress(b"".join(line(f"u{n}") for n in range(5_000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed[:2_000])
    followed = FollowedFiles([path])
    chunks = followed.poll()
    assert [one.reason[:26] for chunk in chunks for one in chunk.dead_letters] == [
        "the file is damaged or cut"
    ]
    append(path, packed[2_000:])
    chunks += followed.poll()
    assert users(chunks) == [f"u{n}" for n in range(5_000)]
    assert followed.poll() == []


def test_a_compressed_file_that_is_replaced_is_read_from_its_start(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line("u1") + line("u2")))
    followed = FollowedFiles([path])
    assert users(followed.poll()) == ["u1", "u2"]
    position = followed.position()
    path.write_bytes(gzip.compress(line("v1") + line("v2") + line("v3")))
    assert users(followed.poll()) == ["v1", "v2", "v3"]
    assert users(FollowedFiles([path], position).poll()) == ["v1", "v2", "v3"]


def test_a_file_that_vanishes_is_no_error(tmp_path):
    append(tmp_path / "a.jsonl", line("u1"))
    followed = FollowedFiles([tmp_path / "*"])
    followed.poll()
    shutil.rmtree(tmp_path)
    assert followed.poll() == []


def test_many_files_do_not_need_many_descriptors(tmp_path):
    for n in range(400):
        append(tmp_path / f"{n:03}.jsonl", line(f"u{n}"))
    followed = FollowedFiles([tmp_path])
    assert len(users(followed.poll())) == 400
    assert len(list(Path("/proc/self/fd").iterdir())) < 250
    for n in (0, 399):
        append(tmp_path / f"{n:03}.jsonl", line(f"v{n}"))
    found = [user for _ in range(5) for user in users(followed.poll())]
    assert sorted(found) == ["v0", "v399"]


@pytest.mark.parametrize("position", [b"nonsense", b"{}", b'{"version":9,"marks":[]}'])
def test_a_damaged_position_is_refused(position):
    with pytest.raises(SourceError, match="position"):
        FollowedFiles(["x"], position)


def test_standard_input_is_read_without_waiting():
    reader, writer = os.pipe()
    followed = FollowedInput(reader)
    assert followed.poll() == []
    os.write(writer, line("u1") + line("u2")[:10])
    assert users(followed.poll()) == ["u1"]
    os.write(writer, line("u2")[10:-1])
    assert [followed.poll(), followed.caught_up, followed.ended] == [[], True, False]
    os.close(writer)
    assert users(followed.poll()) == ["u2"]
    assert [followed.poll(), followed.caught_up, followed.ended] == [[], True, True]
    os.close(reader)
