"""Files as destinations: whole lines, by day and size, whoever else writes; Parquet too."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from audience_dsl.definitions import Settings
from connectors.destinations.appending import append
from connectors.destinations.destination import Answer, Message, Verdict
from connectors.destinations.errors import DestinationError
from connectors.destinations.file import dated, open_file
from connectors.destinations.place import Place
from tests.cli.jobs import eventually
from tests.destinations.messages import message, texts, verdicts
from tests.destinations.stands import rows


def sent(root: Path, *batches: Sequence[Message], **options: object) -> list[Answer]:
    """What a destination answers to some requests, which is then closed."""

    async def through() -> list[Answer]:
        one = opened(root, **options)
        answers = [await one.send(some) for some in batches]
        await one.close()
        return answers

    return asyncio.run(through())


def opened(root: Path, **options: object) -> Any:
    place = Place(root, lambda _: None)
    return open_file(Settings("archive", "file", {"path": "out/t.jsonl"} | options), place)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_dates_and_hours_are_those_of_writing(tmp_path: Path) -> None:
    now = datetime(2026, 3, 1, 9, 59, tzinfo=UTC)
    assert dated("a/{date}/{hour}-{date}.jsonl", now) == "a/2026-03-01/09-2026-03-01.jsonl"
    sent(tmp_path, [message("a", 1)], path="{date}/{hour}.jsonl")
    (path,) = tmp_path.rglob("*.jsonl")
    assert re.fullmatch(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-2][0-9].jsonl", str(path.relative_to(tmp_path))
    )


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    size = 0
    for number in range(1, 8):  # a process each
        (answer,) = sent(tmp_path, [message("a", number)], max_bytes=max(size * 3, 1))
        assert verdicts(answer) == {Verdict.ACCEPTED}
        size = size or (tmp_path / "out/t.jsonl").stat().st_size
    counts = {path.name: len(lines(path)) for path in (tmp_path / "out").iterdir()}
    assert counts == {"t.jsonl": 3, "t.2.jsonl": 3, "t.3.jsonl": 1}


def test_a_request_larger_than_a_file_has_one_of_its_own(tmp_path: Path) -> None:
    sent(tmp_path, [message("a", 1), message("b", 1)], [message("a", 2)], max_bytes=10)
    counts = {path.name: len(lines(path)) for path in (tmp_path / "out").iterdir()}
    assert counts == {"t.jsonl": 2, "t.2.jsonl": 1}


@pytest.mark.parametrize("size", [1, 70_000])
@pytest.mark.parametrize("before", ["", '{"old":1}\n'])
def test_a_torn_line_is_removed(tmp_path: Path, before: str, size: int) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(before + "x" * size)
    append(path, b'{"new":1}\n')
    assert path.read_text() == before + '{"new":1}\n'


def test_what_could_not_be_made_safe_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(tmp_path, [message("a", 1)])

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        (answer,) = sent(tmp_path, [message("a", 2)])
        assert verdicts(answer) == {Verdict.RETRY}
        assert texts(answer).startswith("out/t.jsonl cannot be written: No space left on device")
    assert len(lines(tmp_path / "out/t.jsonl")) == 1
    sent(tmp_path, [message("a", 2)])
    assert len(lines(tmp_path / "out/t.jsonl")) == 2


def test_a_file_that_is_moved_away_is_made_anew(tmp_path: Path) -> None:
    async def through() -> None:
        one = opened(tmp_path)
        await one.send([message("a", 1)])
        (tmp_path / "out/t.jsonl").rename(tmp_path / "out/old.jsonl")
        await one.send([message("a", 2)])
        await one.close()

    asyncio.run(through())
    assert len(lines(tmp_path / "out/t.jsonl")) == len(lines(tmp_path / "out/old.jsonl")) == 1


@pytest.mark.parametrize("options", [{}, {"max_bytes": 700}, {"format": "parquet"}])
def test_several_may_write_to_one_file(tmp_path: Path, options: dict[str, object]) -> None:
    path = "out/t.parquet" if "format" in options else "out/t.jsonl"

    async def through() -> None:
        ones = [opened(tmp_path, path=path, **options) for _ in range(4)]
        for sequence in range(1, 11):
            await asyncio.gather(
                *(
                    one.send([message(f"u{number}", sequence), message(f"v{number}", sequence)])
                    for number, one in enumerate(ones)
                )
            )
        for one in ones:
            await one.close()

    asyncio.run(through())
    with duckdb.connect() as connection:
        files = tmp_path / "out" / path[4:].replace(".", "*.")
        query = f"SELECT user_id, sequence FROM '{files}' ORDER BY ALL"
        found = connection.execute(query).fetchall()
    users = [f"{kind}{number}" for kind in "uv" for number in range(4)]
    assert found == [(user, sequence) for user in sorted(users) for sequence in range(1, 11)]
    assert not list(tmp_path.glob("out/.*"))


@pytest.mark.parametrize("path", [".", "/dev/null", "taken/t.jsonl"])
def test_what_is_no_file_makes_the_sync_pause(tmp_path: Path, path: str) -> None:
    (tmp_path / "taken").write_text("")
    (answer,) = sent(tmp_path, [message("a", 1)], path=path)
    assert verdicts(answer) == {Verdict.REFUSED}, texts(answer)
    assert f"{path} cannot be written: " in texts(answer)

    async def tried() -> None:
        one = opened(tmp_path, path=path)
        try:
            await one.test()
        finally:
            await one.close()

    if path != "taken/t.jsonl":
        with pytest.raises(DestinationError, match="not an ordinary file"):
            asyncio.run(tried())


PARQUET: dict[str, object] = {"path": "out/t.parquet", "format": "parquet"}


def test_parquet_has_the_record_and_the_mapping(tmp_path: Path) -> None:
    mapped = message("ß\n", 1, {"email": "a@example.com", "n": [1, None]})
    sent(tmp_path, [message("a", 1), mapped], **PARQUET)
    first, second = rows(tmp_path / "out/t.parquet")
    assert first == message("a", 1).record
    assert second == {
        **mapped.record,
        "mapping": '{"email":"a@example.com","n":[1,null]}',
    }


def test_a_parquet_file_is_complete_when_it_is_large_enough(tmp_path: Path) -> None:
    async def through() -> None:
        one = opened(tmp_path, max_bytes=1, **PARQUET)
        for sequence in range(1, 4):
            await one.send([message("a", sequence)])
        assert not (tmp_path / "out/t.3.parquet").exists()
        await one.close()

    asyncio.run(through())
    names = ["t.parquet", "t.2.parquet", "t.3.parquet"]
    assert [rows(tmp_path / "out" / name)[0]["sequence"] for name in names] == [1, 2, 3]


def test_a_parquet_file_is_complete_after_a_while(tmp_path: Path) -> None:
    async def through() -> None:
        one = opened(tmp_path, complete_after=1_000, **PARQUET)
        for sequence, name in enumerate(["t.parquet", "t.2.parquet"], 1):
            await one.send([message("a", sequence)])
            await asyncio.to_thread(eventually, (tmp_path / "out" / name).exists)
        await one.close()

    asyncio.run(through())
    assert not list(tmp_path.glob("out/.*"))


def crash(root: Path, at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete a Parquet file and end at some step."""

    def end(*_arguments: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(Path, at, end)
        sent(root, [message("a", 1)], **PARQUET)


@pytest.mark.parametrize("at", ["replace", "unlink"])
def test_a_crash_while_a_file_is_completed_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    crash(tmp_path, at, monkeypatch)
    sent(tmp_path, [message("a", 2)], **PARQUET)
    files = sorted(tmp_path.glob("out/*.parquet"))
    assert [row["sequence"] for path in files for row in rows(path)] == [1, 2]
    assert not [one for one in tmp_path.glob("out/.*") if one.suffix == ".staged"]


def test_what_a_crash_has_left_of_yesterday_is_completed(tmp_path: Path) -> None:
    options = PARQUET | {"path": "{date}/t-{date}.parquet"}
    left = tmp_path / "2026-03-01" / ".t-2026-03-01.2.parquet.staged"
    sent(tmp_path, [message("a", 1)], path="x.jsonl")
    append(left, (tmp_path / "x.jsonl").read_bytes() + b'{"torn')
    sent(tmp_path, [message("a", 2)], **options)
    assert rows(tmp_path / "2026-03-01" / "t-2026-03-01.2.parquet")[0]["sequence"] == 1
    assert not left.exists()


def test_a_damaged_hidden_file_is_told(tmp_path: Path) -> None:
    append(tmp_path / "out" / ".t-1.parquet.staged", b"what?\n")
    (answer,) = sent(tmp_path, [message("a", 1)], **PARQUET | {"path": "out/t-{hour}.parquet"})
    assert verdicts(answer) == {Verdict.RETRY}
    assert ".t-1.parquet.staged is damaged, move it away" in texts(answer)
