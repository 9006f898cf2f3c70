"""Recorded events: files that are complete, read from the first line to the last.

JSON lines and Snowplow's tab-separated lines, plain or compressed with gzip or Zstandard, and
Parquet.  The content tells which, not the name.  Nothing is held but one block of lines.
"""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow  # type: ignore[import-untyped]
import zstandard

from connectors.sources.chunks import Chunk, DeadLetter
from connectors.sources.cutting import LineCutter, ReadInto
from connectors.sources.errors import SourceError
from connectors.sources.parquet import read_parquet
from connectors.sources.zstd import ZstdReader

# What is read in a folder; a file that is named may be called anything.
ENDINGS = (".jsonl", ".ndjson", ".json", ".tsv", ".txt", ".log", ".parquet", ".gz", ".zst")

# What decompressors say of data that is not what it should be.
DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """`number` is its place in the order of the names, which decides between equal instants."""

    path: Path
    number: int
    size: int

    @property
    def name(self) -> str:
        return str(self.path)


def find_files(patterns: Iterable[str | Path]) -> list[RecordedFile]:
    """The files that some paths stand for (files, folders, globs), in the order of their names.

    Raises:
        SourceError: a path stands for no file.
    """
    found = {path.absolute(): path for pattern in patterns for path in _files_of(str(pattern))}
    ordered = sorted(found.values(), key=lambda path: path.parts)
    return [RecordedFile(path, n, path.stat().st_size) for n, path in enumerate(ordered)]


def read_file(file: RecordedFile) -> Iterator[Chunk]:
    """The chunks of a file; their sizes add up to the file's.

    Where compressed data is damaged or cut off, what comes before is read, and a dead letter says
    where it ends.

    Raises:
        SourceError: the file cannot be opened, or is damaged Parquet.
    """
    try:
        with file.path.open("rb", buffering=0) as raw:
            if raw.read(4) == b"PAR1":
                yield from read_parquet(file.name, file.number, file.path, file.size)
            else:
                raw.seek(0)
                yield from _read_lines(file, raw)
    except (OSError, pyarrow.ArrowException) as error:
        raise SourceError(f"cannot read {file.name}: {error}") from error


def read_files(files: Iterable[RecordedFile]) -> Iterator[Chunk]:
    for file in files:
        yield from read_file(file)


def open_lines(raw: BinaryIO) -> ReadInto:
    """How to read the lines of an open file, decompressed if it is compressed."""
    magic = raw.read(4)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw).readinto
    if magic == b"\x28\xb5\x2f\xfd":
        return ZstdReader(raw).readinto
    return raw.readinto  # type: ignore[attr-defined, no-any-return]


def _read_lines(file: RecordedFile, raw: BinaryIO) -> Iterator[Chunk]:
    cutter = LineCutter(file.name, file.number)
    read_into = open_lines(raw)
    done = 0
    try:
        while chunk := cutter.read(read_into):
            chunk.size = raw.tell() - done
            done += chunk.size
            yield chunk
    except DAMAGES as error:
        reason = f"the compressed data is damaged or cut off: {error}"
        damage = DeadLetter(file.name, cutter.line, reason, "")
        yield Chunk(file.name, file.number, cutter.line, dead_letters=(damage,))
        return
    if last := cutter.finish():
        yield last


def _files_of(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        files = [
            one
            for one in path.rglob("*")
            if one.suffix.lower() in ENDINGS
            and one.is_file()
            and not any(part.startswith(".") for part in one.relative_to(path).parts)
        ]
        if not files:
            endings = ", ".join(ENDINGS)
            raise SourceError(f"the folder {pattern} holds no recording ({endings})")
        return files
    if path.exists():
        return [path]
    files = [one for one in map(Path, glob.glob(pattern, recursive=True)) if one.is_file()]
    if not files:
        what = "no file matches" if glob.has_magic(pattern) else "there is no file"
        raise SourceError(f"{what} {pattern}")
    return files
