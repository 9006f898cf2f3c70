"""Parquet files of transitions, which appear under their names when they are complete.

A Parquet file cannot grow.  So transitions are appended as lines to a hidden file beside it, where
they are safe; that becomes a Parquet file when it is large enough, when its day or hour is over,
after `complete_after`, and when the destination is closed.  What a crash has left is completed
before anything else is written.

A hidden file has the name of the file that it becomes, and is removed after that one is there.  If
a crash comes between the two, what follows is appended to the hidden file, and both together
replace the Parquet file: nothing is in two of them.
"""

from __future__ import annotations

import asyncio
import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from typing_extensions import override

from audience_dsl.definitions import Settings
from audience_dsl.durations import MINUTE
from audience_dsl.instants import SECOND
from connectors.destinations.appending import extend, locked, whole
from connectors.destinations.blocking import Item
from connectors.destinations.destination import Answer, Message
from connectors.destinations.file import DATE, HOUR, Files, numbered
from connectors.destinations.place import Place
from connectors.destinations.threads import Abandoned
from connectors.durability import make_durable
from connectors.sentences import Trouble

_MOST = 64 << 20
_AFTER = 5 * MINUTE
_STAGED = ".staged"
_ROWS = 20_000  # of a row group

_TEXT = pa.string()
_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("type", _TEXT),
        ("audience", _TEXT),
        ("audience_version", _TEXT),
        ("parent_model", _TEXT),
        ("user_id", _TEXT),
        ("effective_at", _INSTANT),
        ("sequence", pa.int64()),
        (
            "cause",
            pa.struct([(one, _TEXT) for one in ("kind", "message_id", "condition", "pull")]),
        ),
        ("emitted_at", _INSTANT),
        ("mapping", _TEXT),
    ]
)
"""The transition record, and what the sync's mapping made of it, as JSON."""


class ParquetFiles(Files):
    """Parquet files, one after the other."""

    def __init__(self, settings: Settings, place: Place) -> None:
        super().__init__(settings, place)
        self.most = self.most or _MOST
        after = settings.options.get("complete_after")
        self._after = (_AFTER if after is None else int(str(after))) / SECOND
        self._tell = place.tell
        self._timer: asyncio.TimerHandle | None = None
        self._completion: asyncio.Task[None] | None = None

    @override
    async def send(self, messages: Sequence[Message]) -> Answer:
        answer = await super().send(messages)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._after, self._complete_soon)
        return answer

    @override
    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await super().close()

    @override
    def write(self, path: Path, items: Sequence[Item]) -> None:
        if path != self._path:
            self._complete_all(but=path)
            self._path, self._number = path, _first_open(path)
        lines = b"".join(map(_line, items))
        while not self._appended(numbered(path, self._number), lines):
            self._number += 1

    @override
    def disconnect(self) -> None:
        self._complete_all()

    def _appended(self, target: Path, lines: bytes) -> bool:
        """Whether lines were appended to what becomes a file; otherwise that file is complete."""
        staged = _staged(target)
        with locked(staged) as file:
            if not whole(file) and target.exists():  # another one has completed it
                staged.unlink()
                return False
            if extend(file, staged, lines, self.most):
                return True
        _complete(staged)
        return False

    def _complete_soon(self) -> None:
        self._timer = None
        self._completion = asyncio.ensure_future(self._complete_later())

    async def _complete_later(self) -> None:
        try:
            await self._threads.run(self._complete_all)
        except Abandoned:
            pass
        except Exception as error:  # noqa: BLE001  it is tried again with the next transition
            self._tell(Trouble(f"{self._name}: {self.explain(error).reason}"))

    def _complete_all(self, but: Path | None = None) -> None:
        """Complete what was begun, by whomever, except for the files of one day or hour."""
        for name in glob.glob(_all_staged(self.pattern)):  # noqa: PTH207  a Path takes no absolute one
            staged = Path(name)
            if but is None or staged.parent != but.parent or not _belongs(staged, but):
                _complete(staged)


def _staged(target: Path) -> Path:
    return target.with_name(f".{target.name}{_STAGED}")


def _target(staged: Path) -> Path:
    return staged.with_name(staged.name[1 : -len(_STAGED)])


def _all_staged(pattern: str) -> str:
    """Matches the hidden files of all days and hours, and perhaps others with similar names."""
    path = Path(pattern)
    stem, suffix = glob.escape(path.stem), glob.escape(path.suffix)
    every = f"{glob.escape(str(path.parent))}/.{stem}*{suffix}{_STAGED}"
    return every.replace(DATE, "*").replace(HOUR, "*")


def _belongs(staged: Path, path: Path) -> bool:
    """Whether a hidden file becomes the file at a path or one of those that follow it."""
    target = _target(staged)
    number = target.stem.removeprefix(f"{path.stem}.")
    return target == path or (number.isdecimal() and target == numbered(path, int(number)))


def _first_open(path: Path) -> int:
    """The number of the first file that is not complete."""
    return next(
        number
        for number in itertools.count(1)
        if _staged(target := numbered(path, number)).exists() or not target.exists()
    )


def _line(item: Item) -> bytes:
    message = item.message
    mapping = None if message.mapped is None else item.body.decode()
    return msgspec.json.encode({**message.record, "mapping": mapping}) + b"\n"


def _complete(staged: Path) -> None:
    """Make a Parquet file of a hidden one, unless another one has done so."""
    target = _target(staged)
    part = target.with_name(f".{target.name}.part")
    with suppress(FileNotFoundError), locked(staged, create=False) as file:
        if whole(file):
            with staged.open("rb") as lines, part.open("wb") as output:
                _convert(lines, output, staged)
                os.fsync(output.fileno())
            part.replace(target)
            make_durable(target.parent)
        staged.unlink()


def _convert(lines: BinaryIO, output: BinaryIO, staged: Path) -> None:
    decoder = msgspec.json.Decoder(dict[str, Any])
    with pq.ParquetWriter(output, SCHEMA, compression="zstd") as writer:
        while some := list(itertools.islice(lines, _ROWS)):
            try:
                records = [decoder.decode(one) for one in some]
                writer.write_table(pa.Table.from_arrays(list(_columns(records)), schema=SCHEMA))
            except (msgspec.DecodeError, pa.ArrowException) as error:
                raise OSError(f"{staged} is damaged, move it away: {error}") from error


def _columns(records: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for column in SCHEMA:
        values = [one.get(column.name) for one in records]
        if column.type == _INSTANT:
            yield pa.array(values, _TEXT).cast(_INSTANT)
        else:
            yield pa.array(values, column.type)
